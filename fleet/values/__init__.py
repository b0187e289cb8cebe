"""What is one sound value, and how a broken one is told."""
