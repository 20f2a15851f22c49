"""Random replies through the reader."""
