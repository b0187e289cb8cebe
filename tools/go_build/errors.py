"""Why programs could not be built: one class a reason, so that callers need not read messages.

Short because the callers that only catch these need not load anything else.
"""


class BuildError(Exception):
    """Something an operator can act on; the text names what was built and what happened."""


class ToolchainError(BuildError):
    """Go is missing or too old."""


class ModulesError(BuildError):
    """The modules cannot be had: no network, or a registry that refuses or lacks them."""


class CompileError(BuildError):
    """Go and the modules are there, and compiling failed all the same."""
