# Rendered by infra-orch from stacks/prod/stack.py, unit "network". Edit that file, not this one:
# `infra-orch render prod` writes it anew.

output "cidr_block" {
  value = module.network.cidr_block
}

output "name" {
  value = module.network.name
}

output "public_subnet_ids" {
  value = module.network.public_subnet_ids
}

output "subnet_ids" {
  value = module.network.subnet_ids
}

output "vpc_id" {
  value = module.network.vpc_id
}

output "zones" {
  value = module.network.zones
}
