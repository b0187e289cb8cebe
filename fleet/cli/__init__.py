"""What may be typed at the `fleet` command, and what it prints."""
