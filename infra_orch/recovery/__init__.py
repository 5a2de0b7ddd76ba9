"""What is owed for runs that died: what they did, what of it is in no state, and how that is mended."""
