# Zones that every account has; local zones and those that must be opted in to are left out.
data "aws_availability_zones" "this" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  available = sort(data.aws_availability_zones.this.names)
  zones     = slice(local.available, 0, min(var.zone_count, length(local.available)))

  # Sixteenths of the block: the first four are for private subnets, the next four for public ones, the rest is free.
  # A zone's subnets are the same whatever the number of zones, so that adding a zone moves nothing.
  private_blocks = { for index, zone in local.zones : zone => cidrsubnet(var.cidr_block, 4, index) }
  public_blocks  = { for index, zone in local.zones : zone => cidrsubnet(var.cidr_block, 4, 4 + index) }
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr_block
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = {
    Name = var.name
  }

  lifecycle {
    precondition {
      condition     = var.zone_count <= length(local.available)
      error_message = "zone_count is ${var.zone_count}, but this region has ${length(local.available)} availability zones: ${join(", ", local.available)}."
    }
  }
}

# Every VPC comes with a security group that lets its members talk to each other. Managed here, without a rule, it
# lets nothing through, so that a server which was given no group of its own is reachable by nobody.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id

  tags = {
    Name = "${var.name}-default-closed"
  }
}

resource "aws_subnet" "private" {
  for_each = local.private_blocks

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false

  tags = {
    Name = "${var.name}-private-${each.key}"
  }
}

# Public means: with a route to the internet. An address of its own is given to nothing that does not ask for one.
resource "aws_subnet" "public" {
  for_each = local.public_blocks

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false

  tags = {
    Name = "${var.name}-public-${each.key}"
  }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = {
    Name = var.name
  }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = {
    Name = "${var.name}-public"
  }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  route_table_id = aws_route_table.public.id
  subnet_id      = each.value.id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id

  tags = {
    Name = "${var.name}-private"
  }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  route_table_id = aws_route_table.private.id
  subnet_id      = each.value.id
}

resource "aws_eip" "nat" {
  count = var.nat_gateway ? 1 : 0

  domain = "vpc"

  tags = {
    Name = "${var.name}-nat"
  }
}

resource "aws_nat_gateway" "this" {
  count = var.nat_gateway ? 1 : 0

  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[local.zones[0]].id

  tags = {
    Name = var.name
  }

  depends_on = [aws_route.internet]
}

resource "aws_route" "nat" {
  count = var.nat_gateway ? 1 : 0

  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[0].id
}
