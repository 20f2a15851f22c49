"""What training, rollouts, evaluation and local teachers cost on one GPU, with students of random weights that are made on the spot."""
