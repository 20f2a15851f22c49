"""What an epoch of `sft` costs beside plain TRL on the same student, lessons, batch and steps."""
