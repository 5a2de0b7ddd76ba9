"""Who is told of what, by which words, and how it is sent."""
