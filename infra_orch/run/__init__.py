"""What happened: plan, apply and destroy over a graph, as outcomes."""
