"""What training, rollouts, evaluation and local teachers cost on one GPU, with students of random weights that are made on the spot."""

from cotforge.optional import pass_over_torchvision

pass_over_torchvision()  # as `cotforge train` does before it imports transformers
