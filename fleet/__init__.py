"""Pure core and command line of opencode-fleet; nothing here imports pulumi."""
