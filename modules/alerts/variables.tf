variable "name" {
  description = "What the alerts are called: the name of the topic, and the beginning of the alarms' names."
  type        = string
  default     = "alerts"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,63}$", var.name))
    error_message = "The name must begin with a letter and hold letters, digits and hyphens, at most 64 of them."
  }
}

variable "email_addresses" {
  description = "Who is told. Each address gets a mail first that asks for confirmation, and nothing until it was given."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.email_addresses : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "Every address must look like someone@example.com."
  }
}

variable "server_groups" {
  description = "The Auto Scaling groups that are watched: a label of your choice for the alarms' names => the group's name."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for label in keys(var.server_groups) : can(regex("^[A-Za-z0-9-]{1,64}$", label))])
    error_message = "Every label must hold letters, digits and hyphens, at most 64 of them."
  }
}

variable "cpu_percent" {
  description = "The average CPU load of a group, in percent over ten minutes, from which its alarm is raised."
  type        = number
  default     = 80
  nullable    = false

  validation {
    condition     = var.cpu_percent > 0 && var.cpu_percent <= 100
    error_message = "The CPU load must be more than 0 and at most 100 percent."
  }
}
