"""What `cotforge build` and `cotforge curate` cost, beside a bare client that makes the same calls."""
