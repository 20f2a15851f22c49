"""Duplicates: pictures that are there twice, reasonings that say the same, and samples that a benchmark has too."""
