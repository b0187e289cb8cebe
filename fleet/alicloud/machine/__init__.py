"""Programs that run on the k3s machine, with its own Python and nothing installed."""
