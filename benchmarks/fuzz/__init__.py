"""Mutated files of every kind that a stranger can hand over, through the command."""
