"""DRIFT beside plain SFT and merges: tiny models that see or that reason, and what it takes to do both."""

from cotforge.optional import pass_over_torchvision

pass_over_torchvision()  # as `cotforge train` does before it imports transformers
