variable "name" {
  description = "What the table is called."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{3,255}$", var.name))
    error_message = "The name must hold letters, digits, dots, hyphens and underscores, 3 to 255 of them."
  }
}

variable "hash_key" {
  description = "The attribute that items are spread by (the partition key): its name and its type, S for text, N for numbers, B for bytes. Another one replaces the table."
  type        = object({ name = string, type = optional(string, "S") })
  nullable    = false

  validation {
    condition     = contains(["S", "N", "B"], var.hash_key.type) && length(var.hash_key.name) >= 1 && length(var.hash_key.name) <= 255
    error_message = "The hash key needs a name of 1 to 255 characters and one of the types S (text), N (numbers) and B (bytes)."
  }
}

variable "range_key" {
  description = "The attribute that items of one hash key are sorted by (the sort key). None by default. Another one replaces the table."
  type        = object({ name = string, type = optional(string, "S") })
  default     = null

  validation {
    condition     = try(contains(["S", "N", "B"], var.range_key.type) && length(var.range_key.name) >= 1 && length(var.range_key.name) <= 255, var.range_key == null)
    error_message = "The range key needs a name of 1 to 255 characters and one of the types S (text), N (numbers) and B (bytes)."
  }
}

variable "indexes" {
  description = "Global secondary indexes: name => keys as above, and what is copied into the index, ALL, KEYS_ONLY or INCLUDE with `non_key_attributes`."
  type = map(object({
    hash_key           = object({ name = string, type = optional(string, "S") })
    range_key          = optional(object({ name = string, type = optional(string, "S") }))
    projection         = optional(string, "ALL")
    non_key_attributes = optional(list(string), [])
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.indexes) : can(regex("^[A-Za-z0-9_.-]{3,255}$", name))]) && length(var.indexes) <= 20
    error_message = "The name of an index must hold letters, digits, dots, hyphens and underscores, 3 to 255 of them, and there may be 20 indexes."
  }

  validation {
    condition     = alltrue([for index in values(var.indexes) : contains(["S", "N", "B"], index.hash_key.type) && try(contains(["S", "N", "B"], index.range_key.type), index.range_key == null)])
    error_message = "The keys of an index need one of the types S (text), N (numbers) and B (bytes)."
  }

  validation {
    condition     = alltrue([for index in values(var.indexes) : contains(["ALL", "KEYS_ONLY", "INCLUDE"], index.projection) && (index.projection == "INCLUDE") == (length(index.non_key_attributes) > 0)])
    error_message = "The projection must be ALL, KEYS_ONLY or INCLUDE; INCLUDE, and nothing else, goes with non_key_attributes."
  }
}

variable "ttl_attribute" {
  description = "The attribute with the time, in seconds since 1970, after which DynamoDB deletes an item within days. None by default: nothing is deleted."
  type        = string
  default     = null

  validation {
    condition     = try(length(var.ttl_attribute) >= 1 && length(var.ttl_attribute) <= 255, var.ttl_attribute == null)
    error_message = "The attribute's name must have 1 to 255 characters."
  }
}

variable "point_in_time_recovery" {
  description = "Whether the table can be restored as it was at any second of the last 35 days; with it, a table that is deleted leaves a backup for 35 days."
  type        = bool
  default     = true
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the table, whoever asks, until this was switched off by an apply."
  type        = bool
  default     = true
  nullable    = false
}

variable "kms_key_arn" {
  description = "The ARN of a KMS key of your own to encrypt with. The key that AWS manages for DynamoDB where none is given."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key must be given by its ARN, such as arn:aws:kms:eu-west-1:123456789012:key/11112222-3333-4444-5555-666677778888."
  }
}
