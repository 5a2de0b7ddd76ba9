variable "name" {
  description = "What the servers are called: their Name tag, and the beginning of the names of the group, template and security group."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,47}$", var.name))
    error_message = "The name must begin with a letter and hold letters, digits and hyphens, at most 48 of them."
  }
}

variable "vpc_id" {
  description = "The id of the VPC that the subnets are in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "The VPC must be given by its id, such as vpc-0a1b2c3d4e5f67890."
  }
}

variable "subnet_ids" {
  description = "The ids of the subnets that the servers are spread over."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "The servers need at least one subnet."
  }

  validation {
    condition     = alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "Every subnet must be given by its id, such as subnet-0a1b2c3d4e5f67890."
  }
}

variable "server_count" {
  description = "How many servers run, 0 to 50. One that fails is replaced."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.server_count >= 0 && var.server_count <= 50 && floor(var.server_count) == var.server_count
    error_message = "The number of servers must be a whole number from 0 to 50."
  }
}

variable "instance_type" {
  description = "The EC2 instance type, x86 or ARM; the default image is chosen to fit it."
  type        = string
  default     = "t3.micro"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9-]+$", var.instance_type))
    error_message = "The instance type must look like t3.micro."
  }
}

variable "ami_id" {
  description = "The id of the machine image. The newest Amazon Linux 2023 where none is given: then a new release of it makes a plan that replaces the servers."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null || can(regex("^ami-[0-9a-z]+$", var.ami_id))
    error_message = "The image id must look like ami-0123456789abcdef0."
  }
}

variable "port" {
  description = "The TCP port that the servers answer HTTP on."
  type        = number
  default     = 80
  nullable    = false

  validation {
    condition     = var.port >= 1 && var.port <= 65535 && floor(var.port) == var.port
    error_message = "The port must be a whole number from 1 to 65535."
  }
}

variable "ingress_cidr_blocks" {
  description = "The IPv4 blocks that may reach the port. None by default: then nobody can."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for block in var.ingress_cidr_blocks : can(cidrnetmask(block))])
    error_message = "Every ingress block must be an IPv4 CIDR block, such as 10.20.0.0/16."
  }
}

variable "egress_cidr_blocks" {
  description = "The IPv4 blocks that the servers may reach over HTTPS (TCP 443), for updates and the like. None by default."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for block in var.egress_cidr_blocks : can(cidrnetmask(block))])
    error_message = "Every egress block must be an IPv4 CIDR block, such as 0.0.0.0/0."
  }
}

variable "root_volume_gib" {
  description = "The size of each server's encrypted root volume in GiB; not less than that of the image (8 for Amazon Linux 2023)."
  type        = number
  default     = 8
  nullable    = false

  validation {
    condition     = var.root_volume_gib >= 1 && var.root_volume_gib <= 16384 && floor(var.root_volume_gib) == var.root_volume_gib
    error_message = "The size must be a whole number of GiB from 1 to 16384."
  }
}

variable "page" {
  description = "The HTML of the page that every server shows, as long as `user_data` is not given."
  type        = string
  default     = "<!doctype html><title>It works</title><h1>It works</h1>"
  nullable    = false
}

variable "user_data" {
  description = "A start script or cloud-config of your own instead of the built-in page server. It must answer on the port, and at /health where it is asked for it. Not a place for secrets: whoever may describe launch templates can read it."
  type        = string
  default     = null
}
