"""What a student learns from: lessons of the dataset or the source, checked, made into tensors and kept."""
