"""The one exception of this package: a failure told in one line, with the exit code it deserves.

Short because every module of the package raises it, and it must load nothing.
"""

FAILED = 1
WRONG_INPUT = 2


class ClusterError(Exception):
    """Something an operator can act on; the text names the part, what happened, what to do."""

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
