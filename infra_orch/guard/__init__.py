"""What rendered files and the modules that they call may have Terraform run and reach."""
