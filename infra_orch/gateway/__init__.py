"""The provider gateway: many Terraform commands share a few provider processes that run already."""
