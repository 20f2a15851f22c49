"""The mark by which replies of `cotforge simulate` are known in a journal, so that a rehearsal is never taken for the real thing."""

FINGERPRINT = "cotforge-simulate"
"""The `system_fingerprint` of a simulated completion."""
FINGERPRINT_JSON = f'"system_fingerprint": "{FINGERPRINT}"'
"""As it stands in a body; within a text the quotes would be escaped."""
