"""What `cotforge train` costs, beside plain TRL on the same student, lessons, batch and steps, and by itself."""
