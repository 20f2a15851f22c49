"""What a server's body means: finish reasons, refusals, streams. Pure functions."""
