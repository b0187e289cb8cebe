"""What a stack file says, and whether it is allowed."""
