"""Why programs could not be built: one class a reason, so that callers need not read messages.

A file of its own, short as it is: the callers that only catch these load nothing else.
"""


class BuildError(Exception):
    """Something an operator can act on; the text names what was built and what happened."""


class ToolchainError(BuildError):
    """Go is missing or too old."""


class ModulesError(BuildError):
    """The modules cannot be had: no network, or a registry that refuses or lacks them."""


class CompileError(BuildError):
    """Go and the modules are there, and compiling failed all the same."""
