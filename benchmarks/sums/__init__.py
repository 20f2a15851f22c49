"""What reinforcement adds to lessons on the demo's sums."""
