"""Plots as SVG of our own: no library, no script, text that stays text, and a title and description for who cannot see them."""
