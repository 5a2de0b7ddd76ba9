# Rendered by infra-orch from stacks/prod/stack.py, unit "network". Edit that file, not this one:
# `infra-orch render prod` writes it anew.

terraform {
  backend "local" {
    path = "../../../../stacks/prod/state/network.tfstate"
  }
}
