output "name" {
  description = "What the network is called."
  value       = var.name
}

output "vpc_id" {
  description = "The id of the VPC."
  value       = aws_vpc.this.id
}

output "cidr_block" {
  description = "The network's IPv4 addresses."
  value       = aws_vpc.this.cidr_block
}

output "zones" {
  description = "The availability zones that the network spans, in alphabetical order."
  value       = local.zones
}

output "subnet_ids" {
  description = "The ids of the private subnets, in the order of `zones`."
  value       = [for zone in local.zones : aws_subnet.private[zone].id]
}

output "public_subnet_ids" {
  description = "The ids of the public subnets, in the order of `zones`."
  value       = [for zone in local.zones : aws_subnet.public[zone].id]
}
