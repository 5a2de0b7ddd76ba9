variable "name" {
  description = "What the job is called: its schedule and group, and the beginning of the names of its role and its alarm."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,54}$", var.name))
    error_message = "The name must hold letters, digits, hyphens and underscores, 1 to 54 of them."
  }
}

variable "description" {
  description = "What the job is for; whoever finds the schedule in the console reads it."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = length(var.description) <= 512
    error_message = "The description may have 512 characters."
  }
}

variable "schedule_expression" {
  description = "When it is due: cron(minutes hours day month weekday year), rate(5 minutes), or at(2027-01-31T02:00:00) for once."
  type        = string
  nullable    = false

  validation {
    condition = anytrue([
      can(regex("^cron\\(\\S+ \\S+ \\S+ \\S+ \\S+ \\S+\\)$", var.schedule_expression)),
      can(regex("^rate\\([1-9][0-9]* (minutes?|hours?|days?)\\)$", var.schedule_expression)),
      can(regex("^at\\([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\)$", var.schedule_expression)),
    ])
    error_message = "The schedule must look like cron(0 2 * * ? *), which has six fields, like rate(5 minutes), or like at(2027-01-31T02:00:00)."
  }
}

variable "time_zone" {
  description = "The time zone that cron() and at() mean, such as Europe/Dublin; summer time is followed."
  type        = string
  default     = "UTC"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z]+([/_+-][A-Za-z0-9]+)*$", var.time_zone))
    error_message = "The time zone must be a name of the IANA database, such as UTC or Europe/Dublin."
  }
}

variable "target_arn" {
  description = "What is started: the ARN of an SQS queue, which is sent `input`, or of a Lambda function, which is called with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z0-9-]+:(sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}(\\.fifo)?|lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9$_-]+)?)$", var.target_arn))
    error_message = "The target must be the ARN of an SQS queue or of a Lambda function, without a wildcard."
  }
}

variable "dead_letter_arn" {
  description = "The ARN of the SQS queue (no FIFO queue) that gets what the target did not take; why is in the message's attributes."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z0-9-]+:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}$", var.dead_letter_arn))
    error_message = "The dead letters must go to the ARN of an SQS queue, not a FIFO one, such as arn:aws:sqs:eu-west-1:123456789012:orders-dead."
  }
}

variable "kms_key_arns" {
  description = "The KMS keys that the queues are encrypted with, where they are your own: the schedule's role needs them. For SQS's own key, none."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.kms_key_arns : can(regex("^arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))])
    error_message = "Every key must be given by its ARN, such as arn:aws:kms:eu-west-1:123456789012:key/11112222-3333-4444-5555-666677778888."
  }
}

variable "input" {
  description = "The JSON that the target is given. In it, <aws.scheduler.scheduled-time> and <aws.scheduler.execution-id> are replaced at each start. No place for secrets."
  type        = string
  default     = "{\"scheduled\":\"<aws.scheduler.scheduled-time>\"}"
  nullable    = false

  validation {
    condition     = can(jsondecode(var.input)) && length(var.input) <= 262144
    error_message = "The input must be JSON, of 256 KiB at most."
  }
}

variable "message_group_id" {
  description = "The message group for a FIFO queue as a target, whose deduplication must be by content. None for other targets."
  type        = string
  default     = null

  validation {
    condition     = var.message_group_id == null || can(regex("^[A-Za-z0-9!-/:-@\\[-`{-~]{1,128}$", var.message_group_id))
    error_message = "The message group must hold letters, digits and punctuation, 1 to 128 of them."
  }
}

variable "enabled" {
  description = "Whether the schedule runs. Switched off, everything stays where it is."
  type        = bool
  default     = true
  nullable    = false
}

variable "flexible_minutes" {
  description = "Within how many minutes after it is due the job may start, 0 to 1440, to spread load. 0 by default: at once."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.flexible_minutes >= 0 && var.flexible_minutes <= 1440 && floor(var.flexible_minutes) == var.flexible_minutes
    error_message = "The window must be a whole number of minutes from 0 to 1440."
  }
}

variable "maximum_retry_attempts" {
  description = "How often it is tried again where the target does not take it, 0 to 185, with growing pauses."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.maximum_retry_attempts >= 0 && var.maximum_retry_attempts <= 185 && floor(var.maximum_retry_attempts) == var.maximum_retry_attempts
    error_message = "The number of retries must be a whole number from 0 to 185."
  }
}

variable "maximum_event_age_seconds" {
  description = "For how long it is tried again, 60 to 86400 seconds. After that it is a dead letter. An hour by default."
  type        = number
  default     = 3600
  nullable    = false

  validation {
    condition     = var.maximum_event_age_seconds >= 60 && var.maximum_event_age_seconds <= 86400 && floor(var.maximum_event_age_seconds) == var.maximum_event_age_seconds
    error_message = "The age must be a whole number of seconds from 60 to 86400 (a day)."
  }
}

variable "alarm_topic_arns" {
  description = "The SNS topics that are told when the target could not be started. No alarm without one."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[a-z0-9-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", arn))])
    error_message = "Every topic must be given by its ARN, such as arn:aws:sns:eu-west-1:123456789012:alerts."
  }
}
