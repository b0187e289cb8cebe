"""JSON Schema of a stack file."""


def schema_text() -> str:
    """Return the schema as JSON text."""
    return "{}"
