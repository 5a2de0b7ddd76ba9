# Rendered by infra-orch from stacks/prod/stack.py, unit "network". Edit that file, not this one:
# `infra-orch render prod` writes it anew.

module "network" {
  source = "../../../../modules/network"

  name       = "prod"
  cidr_block = "10.20.0.0/16"
  zone_count = 2
}
