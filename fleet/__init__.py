"""Pure core and command line of opencode-fleet; nothing here imports pulumi."""

__version__ = "0.2.0"
