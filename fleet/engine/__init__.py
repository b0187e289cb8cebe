"""Which stacks run, in which order, how far they are, and how a run that ended badly is mended."""
