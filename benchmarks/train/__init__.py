"""What `cotforge train` costs, beside plain TRL on the same student, lessons, batch and steps, and by itself."""

from cotforge.optional import pass_over_torchvision

pass_over_torchvision()  # as `cotforge train` does before it imports transformers
