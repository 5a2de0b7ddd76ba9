variable "application" {
  description = "What is worked on, such as shop: the beginning of the names of all that the environment has."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.application))
    error_message = "The application must begin with a letter and hold lower-case letters, digits and hyphens, 2 to 32 of them."
  }
}

variable "name" {
  description = "What the environment is called: its branch's name, as far as names of AWS can hold it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", var.name))
    error_message = "The name must hold lower-case letters, digits and hyphens, at most 32 of them, and neither begin nor end with a hyphen."
  }
}

variable "branch" {
  description = "The branch, as git calls it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9/._#+@-]*$", var.branch))
    error_message = "The branch must be named whole: letters, digits and / . _ # + @ -."
  }
}

variable "settings" {
  description = "What the application is told of its environment: name => value, kept in Parameter Store. Not a place for secrets."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^[a-z][a-z0-9_]{0,63}$", name)) && !contains(["branch", "event_bus", "log_group"], name)])
    error_message = "A setting's name must begin with a letter and hold lower-case letters, digits and underscores; branch, event_bus and log_group are there already."
  }

  validation {
    condition     = alltrue([for value in values(var.settings) : length(value) > 0 && length(value) <= 4096])
    error_message = "A setting's value must have 1 to 4096 characters."
  }
}

variable "log_days" {
  description = "For how many days logs are kept, one of the numbers that CloudWatch has."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365 days."
  }
}
