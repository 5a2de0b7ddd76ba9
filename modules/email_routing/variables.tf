variable "domain" {
  description = "The domain whose mails are taken in, such as in.example.com."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.domain))
    error_message = "The domain must be in small letters and look like in.example.com."
  }
}

variable "name" {
  description = "What the route is called: its rule and rule set, the topic, and the beginning of the bucket's name."
  type        = string
  default     = "mail"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,34}[a-z0-9]$", var.name))
    error_message = "The name must begin with a small letter and hold small letters, digits and hyphens, 2 to 36 of them; no hyphen in the end."
  }
}

variable "recipients" {
  description = "Whose mails are taken in: addresses in the domain, the domain itself, or parts of it as in .in.example.com. The whole domain by default."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for one in var.recipients : can(regex("^([^@\\s]+@|\\.)?([A-Za-z0-9-]+\\.)+[A-Za-z]{2,63}$", one))])
    error_message = "Every recipient must look like someone@in.example.com, in.example.com, or .in.example.com for all parts of it."
  }

  validation {
    condition     = length(var.recipients) <= 500
    error_message = "A rule may have 500 recipients."
  }
}

variable "activate" {
  description = "Whether the rule set becomes the active one. There is one in an account and region: where another is active, its rules end. Without an active one no mail is taken in."
  type        = bool
  default     = false
  nullable    = false
}

variable "rule_set_name" {
  description = "A rule set that exists, to put the rule into: for a second route beside a first. One is made where none is given."
  type        = string
  default     = null

  validation {
    condition     = var.rule_set_name == null || can(regex("^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$", var.rule_set_name))
    error_message = "The rule set's name must hold letters, digits, dots, hyphens and underscores, at most 64 of them."
  }
}

variable "after_rule" {
  description = "The rule of the same set that this one comes after. It is the first one by default."
  type        = string
  default     = null

  validation {
    condition     = var.after_rule == null || can(regex("^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$", var.after_rule))
    error_message = "The rule must be given by its name: letters, digits, dots, hyphens and underscores, at most 64 of them."
  }
}

variable "verify_domain" {
  description = "Whether SES is told that the domain is yours, with keys for DKIM. False where it knows, as for a second route; also then nothing is taken in before the records in `dns_records` are there."
  type        = bool
  default     = true
  nullable    = false
}

variable "enabled" {
  description = "Whether the rule takes mails in."
  type        = bool
  default     = true
  nullable    = false
}

variable "scan" {
  description = "Whether mails are looked at for spam and viruses. They are stored all the same, with what was found in the headers X-SES-Spam-Verdict and X-SES-Virus-Verdict."
  type        = bool
  default     = true
  nullable    = false
}

variable "require_tls" {
  description = "Whether a mail server that does not encrypt is turned away. Nearly all do; without it, mails may come in the clear."
  type        = bool
  default     = true
  nullable    = false
}

variable "object_key_prefix" {
  description = "The beginning of the objects' names in the bucket."
  type        = string
  default     = "mail/"
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z0-9_.-]+/)*$", var.object_key_prefix)) && length(var.object_key_prefix) <= 512
    error_message = "The prefix must be empty or look like mail/in/: letters, digits, dots, hyphens and underscores between slashes, one in the end."
  }
}

variable "retention_days" {
  description = "For how many days a mail is kept. It can be had back for a week more."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 3650 && floor(var.retention_days) == var.retention_days
    error_message = "The days must be a whole number from 1 to 3650."
  }
}

variable "force_destroy" {
  description = "Whether a destroy deletes the mails, too. Without it, AWS refuses to delete the bucket while there is any."
  type        = bool
  default     = false
  nullable    = false
}
