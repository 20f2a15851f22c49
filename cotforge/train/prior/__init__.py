"""Gradients bent towards a reasoning expert (DRIFT): the rules, the student's tensors that they bend, and what is measured of it."""
