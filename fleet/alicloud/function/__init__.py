"""What runs in Function Compute: standard library only, for the Python there (see `ruff.toml`)."""
