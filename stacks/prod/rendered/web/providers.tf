# Rendered by infra-orch from stacks/prod/stack.py, unit "web". Edit that file, not this one:
# `infra-orch render prod` writes it anew.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }
}

provider "aws" {
  region = "eu-west-1"

  default_tags {
    tags = {
      stack      = "prod"
      managed-by = "infra-orch"
    }
  }
}
