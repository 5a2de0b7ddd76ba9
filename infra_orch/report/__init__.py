"""What people and programs see, made from outcomes and records only."""
