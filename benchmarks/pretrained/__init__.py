"""A student whose language model was trained before: lessons with reasoning beside bare labels, on sums of handwritten digits."""
