"""The program that does the work (terraform, tofu, embedded): its argv, its environment, its providers."""
