"""A student whose language model was trained before: lessons with reasoning beside bare labels, on sums of handwritten digits."""

from cotforge.optional import pass_over_torchvision

pass_over_torchvision()  # as `cotforge train` does before it imports transformers
