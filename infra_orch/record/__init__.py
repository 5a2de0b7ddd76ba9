"""What is kept in git beside the stack file."""
