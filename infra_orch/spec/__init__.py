"""What the user declared: stacks, units, tasks, providers, backends and references. No I/O but loading the file."""
