# Stands in for a network: the same inputs and outputs, made of Terraform's built-in provider.

variable "name" {
  type = string
}

variable "cidr_block" {
  type = string
}

variable "zone_count" {
  type = number
}

resource "terraform_data" "network" {
  input = { name = var.name, cidr_block = var.cidr_block }
}

resource "terraform_data" "subnet" {
  count = var.zone_count
  input = { network = terraform_data.network.id, cidr_block = cidrsubnet(var.cidr_block, 4, count.index) }
}

output "name" {
  value = var.name
}

output "network_id" {
  value = terraform_data.network.id
}

output "subnet_ids" {
  value = terraform_data.subnet[*].id
}
