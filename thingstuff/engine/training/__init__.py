"""Training: one update, the loop around it, and what watches it."""
