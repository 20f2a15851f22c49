"""What a student is tried on, who is asked, and what came of it."""
