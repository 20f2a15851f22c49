"""Which rows a stage learns from next: orders that are known beforehand, and samplers that go by what the student did with earlier rows."""
