"""What lessons of each origin, planted faults and gates are worth to a student, on the demo's sums."""
