# Stands in for web servers, spread over the subnets of a network.

variable "name" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "server_count" {
  type = number
}

resource "terraform_data" "server" {
  count = var.server_count
  input = { name = "${var.name}-${count.index}", subnet = var.subnet_ids[count.index % length(var.subnet_ids)] }
}

output "group_name" {
  value = var.name
}

output "servers" {
  value = { for server in terraform_data.server : server.output.name => server.output.subnet }
}
