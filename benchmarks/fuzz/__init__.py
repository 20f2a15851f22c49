"""What a stranger hands over, mutated: no traceback, no more than 1 GB, no more than 10 s each."""
