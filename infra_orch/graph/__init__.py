"""What depends on what: a graph of names that knows nothing of stacks."""
