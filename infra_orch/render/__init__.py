"""What Terraform will read: HCL text, the files of a unit, and the index (stack.json) of a stack."""
