variable "name" {
  description = "What the store is called. The bucket's name is this, the account's number and the region, so that it is nobody else's."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,33}[a-z0-9]$", var.name))
    error_message = "The name must hold lower-case letters, digits and hyphens, 3 to 35 of them, and neither begin nor end with a hyphen."
  }
}

variable "kms_key_arn" {
  description = "The ARN of a KMS key that objects are encrypted with. S3's own key where none is given. Another value leaves objects that are there encrypted as they are."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key must be given by its ARN, such as arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab."
  }
}

variable "noncurrent_days" {
  description = "For how many days a version of an object is kept after it was overwritten or deleted."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.noncurrent_days >= 1 && var.noncurrent_days <= 3650 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "The number of days must be a whole number from 1 to 3650."
  }
}

variable "incomplete_upload_days" {
  description = "After how many days the parts of an upload that was never completed are removed."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.incomplete_upload_days >= 1 && var.incomplete_upload_days <= 365 && floor(var.incomplete_upload_days) == var.incomplete_upload_days
    error_message = "The number of days must be a whole number from 1 to 365."
  }
}

variable "expire_prefixes" {
  description = "What expires by itself: the beginning of the objects' keys, with the slash at its end => after how many days."
  type        = map(number)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for prefix in keys(var.expire_prefixes) : can(regex("^[A-Za-z0-9!_.()-]+(/[A-Za-z0-9!_.()-]+)*/$", prefix))])
    error_message = "Every prefix must look like builds/ or builds/nightly/: no slash at the beginning, one at the end."
  }

  validation {
    condition     = alltrue([for days in values(var.expire_prefixes) : days >= 1 && days <= 3650 && floor(days) == days])
    error_message = "The number of days must be a whole number from 1 to 3650."
  }
}

variable "force_destroy" {
  description = "Whether a destroy also deletes all objects, with all their versions. Without it, a bucket that holds anything is not destroyed."
  type        = bool
  default     = false
  nullable    = false
}
