"""The one exception of this package: a failure the operator can act on, told in one line."""


class BaseImageError(Exception):
    """No base image can be provided; the text names the step and what to change."""
