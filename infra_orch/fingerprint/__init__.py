"""What the plan of a unit depends on: digests of it all, equal on two machines where all of it is."""
