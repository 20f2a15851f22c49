"""Every family of vision-language models through all kinds of stages, by tiny models of the real classes."""

from cotforge.optional import pass_over_torchvision

pass_over_torchvision()  # as `cotforge train` does before it imports transformers
