"""Rollouts of GRPO: which engine makes them, how long prompts are, which groups are drawn again, and what is kept of them."""
