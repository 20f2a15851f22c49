"""Weights in a model's files: read, compared, merged and written in pieces of bounded size, never a whole model in memory."""
