"""Publishing on the Hugging Face Hub: what may leave, under which licence, and how it gets there."""
