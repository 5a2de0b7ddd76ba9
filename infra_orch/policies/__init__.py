"""What may be done to infrastructure, as Python functions over typed plans: declared, loaded, and asked."""
