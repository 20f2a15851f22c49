"""Planted faults with known truth: what each gate of curation finds, and what it stops that is sound."""
