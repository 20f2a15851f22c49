"""Follow-ups: Calls that follow from what teachers said, and check, explain or join their traces."""
