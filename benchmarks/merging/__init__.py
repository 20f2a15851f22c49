"""What merging models, and an expert's difference, take."""
