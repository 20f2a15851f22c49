"""What is told of a training: rows of metrics, curves, a page, trackers, and the student's card."""
