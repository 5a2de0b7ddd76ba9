"""Terraform modules as their files declare them: variables, outputs, providers, nested modules."""
