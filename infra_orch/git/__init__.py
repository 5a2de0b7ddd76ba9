"""What we ask of git, and the commit that holds nothing but what it was given."""
