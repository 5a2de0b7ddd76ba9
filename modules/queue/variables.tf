variable "name" {
  description = "What the queue is called. The queue of its dead letters has `-dead` behind it, those of FIFO queues `.fifo`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,70}$", var.name))
    error_message = "The name must hold letters, digits, hyphens and underscores, 1 to 70 of them; \".fifo\" is added by the module."
  }
}

variable "fifo" {
  description = "Whether messages of a group keep their order, and none is delivered twice. It cannot be changed later: the queue would be replaced."
  type        = bool
  default     = false
  nullable    = false
}

variable "content_based_deduplication" {
  description = "For FIFO queues: whether two messages of the same text within five minutes are one. Without it, who sends gives each an id."
  type        = bool
  default     = false
  nullable    = false
}

variable "visibility_timeout_seconds" {
  description = "How long a message that was received is hidden from others, 0 to 43200: longer than working it off takes (for a Lambda function, six times its time-out)."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.visibility_timeout_seconds >= 0 && var.visibility_timeout_seconds <= 43200 && floor(var.visibility_timeout_seconds) == var.visibility_timeout_seconds
    error_message = "The visibility timeout must be a whole number of seconds from 0 to 43200 (twelve hours)."
  }
}

variable "message_retention_seconds" {
  description = "How long a message waits to be worked off before it is deleted, 60 to 1209599 seconds. Four days by default."
  type        = number
  default     = 345600
  nullable    = false

  validation {
    condition     = var.message_retention_seconds >= 60 && var.message_retention_seconds < 1209600 && floor(var.message_retention_seconds) == var.message_retention_seconds
    error_message = "The retention must be a whole number of seconds from 60 to 1209599 (just under fourteen days)."
  }
}

variable "dead_letter_retention_seconds" {
  description = "How long a dead letter is kept, counted from when it was first sent; more than `message_retention_seconds`. Fourteen days by default, which is the most."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.dead_letter_retention_seconds > 60 && var.dead_letter_retention_seconds <= 1209600 && floor(var.dead_letter_retention_seconds) == var.dead_letter_retention_seconds
    error_message = "The retention of dead letters must be a whole number of seconds from 61 to 1209600 (fourteen days)."
  }
}

variable "delay_seconds" {
  description = "How long a new message is held back, 0 to 900 seconds."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.delay_seconds >= 0 && var.delay_seconds <= 900 && floor(var.delay_seconds) == var.delay_seconds
    error_message = "The delay must be a whole number of seconds from 0 to 900 (fifteen minutes)."
  }
}

variable "max_receive_count" {
  description = "How often a message is received without being deleted before it is a dead letter, 1 to 1000."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "The number of receives must be a whole number from 1 to 1000."
  }
}

variable "kms_key_arn" {
  description = "The ARN of a KMS key of your own to encrypt with. SQS's own key where none is given; then everything else here works without further rights."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+$", var.kms_key_arn))
    error_message = "The key must be given by its ARN, such as arn:aws:kms:eu-west-1:123456789012:key/11112222-3333-4444-5555-666677778888."
  }
}

variable "senders" {
  description = "Services of AWS that may send: the service => ARNs (`*` and `?` are allowed) of what in this account may do so through it, such as a topic. Roles and users need nothing here but a policy of their own."
  type        = map(list(string))
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for service in keys(var.senders) : can(regex("^[a-z0-9.-]+\\.amazonaws\\.com$", service))])
    error_message = "Every sender must be the principal of a service, such as sns.amazonaws.com."
  }

  validation {
    condition     = alltrue([for arns in values(var.senders) : length(arns) > 0])
    error_message = "Every sender needs the ARN of at least one thing that may send through it."
  }

  validation {
    condition     = alltrue(flatten([for arns in values(var.senders) : [for arn in arns : can(regex("^arn:", arn))]]))
    error_message = "What may send must be given by its ARN, such as arn:aws:sns:eu-west-1:123456789012:orders."
  }
}

variable "alarm_topic_arns" {
  description = "The SNS topics that are told when there are dead letters or messages wait too long, and when that is over. No alarms without one."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[a-z0-9-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", arn))])
    error_message = "Every topic must be given by its ARN, such as arn:aws:sns:eu-west-1:123456789012:alerts."
  }
}

variable "alarm_dead_letters" {
  description = "How many dead letters raise the alarm."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.alarm_dead_letters >= 1 && floor(var.alarm_dead_letters) == var.alarm_dead_letters
    error_message = "The number of dead letters must be a whole number, 1 or more."
  }
}

variable "alarm_age_seconds" {
  description = "How long the oldest message may wait before the alarm is raised; null for no such alarm. An hour by default."
  type        = number
  default     = 3600

  validation {
    condition     = try(var.alarm_age_seconds >= 60, var.alarm_age_seconds == null)
    error_message = "The age must be 60 seconds or more, or null for no such alarm."
  }
}
