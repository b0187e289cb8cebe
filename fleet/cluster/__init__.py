"""What runs in a cluster now, and what one can do to it."""
