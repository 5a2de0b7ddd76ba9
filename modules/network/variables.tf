variable "name" {
  description = "What the network is called: the Name tag of the VPC, and the beginning of every other one."
  type        = string
  default     = "main"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,31}$", var.name))
    error_message = "The name must begin with a letter and hold letters, digits and hyphens, at most 32 of them."
  }
}

variable "cidr_block" {
  description = "The network's IPv4 addresses, from a /16 to a /24, such as 10.20.0.0/16."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9.]+/(1[6-9]|2[0-4])$", var.cidr_block)) && can(cidrnetmask(var.cidr_block))
    error_message = "The CIDR block must be an IPv4 block from a /16 to a /24, such as 10.20.0.0/16."
  }

  validation {
    condition     = try(cidrhost(var.cidr_block, 0) == split("/", var.cidr_block)[0], true)
    error_message = "The CIDR block must begin with its first address: 10.20.0.0/16, not 10.20.0.1/16."
  }
}

variable "zone_count" {
  description = "How many availability zones the network spans, 1 to 4. Each gets one private and one public subnet."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([1, 2, 3, 4], var.zone_count)
    error_message = "The number of zones must be 1, 2, 3 or 4."
  }
}

variable "nat_gateway" {
  description = "Whether the private subnets reach the internet, through one NAT gateway (billed by the hour) in the first zone."
  type        = bool
  default     = false
  nullable    = false
}
