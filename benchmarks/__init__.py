"""What the orchestration costs beside the Terraform that it runs. `python -m benchmarks --help` lists the options."""
