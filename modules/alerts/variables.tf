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

variable "https_endpoints" {
  description = "Programs that are told, such as an incident service: a label of your choice => its address, which is often a secret. Each must confirm by itself that it wants to be told."
  type        = map(string)
  default     = {}
  nullable    = false
  sensitive   = true

  validation {
    condition     = alltrue([for address in values(var.https_endpoints) : can(regex("^https://[^\\s/]+", address))])
    error_message = "Every address must begin with https://."
  }
}

variable "queue_arns" {
  description = "SQS queues that are told: a label of your choice => the queue's ARN. Its policy must let the topic send; the module `queue` does so by `senders`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for arn in values(var.queue_arns) : can(regex("^arn:[a-z0-9-]+:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+$", arn))])
    error_message = "Every queue must be given by its ARN, such as arn:aws:sqs:eu-west-1:123456789012:alerts."
  }
}

variable "alarm_prefixes" {
  description = "The beginnings of the names of other alarms that may publish to the topic, besides this module's own; in the same account and region."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for prefix in var.alarm_prefixes : can(regex("^[A-Za-z0-9_.-]+$", prefix))])
    error_message = "Every prefix must hold letters, digits, dots, hyphens and underscores, one at least: an empty one, or a star, would let every alarm in."
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

  validation {
    condition     = alltrue([for group in values(var.server_groups) : try(length(group) > 0, false)])
    error_message = "Every group must be given by its name, which cannot be empty."
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
