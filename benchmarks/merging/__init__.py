"""What merging models, and an expert's difference, take."""

from cotforge.optional import pass_over_torchvision

pass_over_torchvision()  # before transformers is imported, in each process
