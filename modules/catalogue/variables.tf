variable "name" {
  description = "What the catalogue is called: the name of the Glue database and of the Athena workgroup."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,62}$", var.name))
    error_message = "The name must begin with a letter and hold lower-case letters, digits and underscores, at most 63 of them, as Athena wants it."
  }
}

variable "description" {
  description = "What is in the catalogue, for whoever finds the database."
  type        = string
  default     = "Tables over objects in S3"
  nullable    = false

  validation {
    condition     = length(var.description) <= 2048
    error_message = "The description must have at most 2048 characters."
  }
}

variable "tables" {
  description = "The tables: name => where its objects lie (a bucket's name, and the beginning of their keys with a slash at the end), how they are written (json: one object a line; parquet), the columns, and the partitions by which the keys are ordered (day=2026-11-28/). Columns and partitions are a list of name and type, in their order."
  type = map(object({
    bucket      = string
    prefix      = string
    format      = string
    columns     = list(object({ name = string, type = string }))
    partitions  = optional(list(object({ name = string, type = string })), [])
    description = optional(string, "")
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.tables) : can(regex("^[a-z][a-z0-9_]{0,126}$", name))])
    error_message = "A table's name must begin with a letter and hold lower-case letters, digits and underscores."
  }

  validation {
    condition     = alltrue([for table in values(var.tables) : can(regex("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/$", table.prefix))])
    error_message = "A table's prefix must look like orders/: no slash at the beginning, one at the end."
  }

  validation {
    condition     = alltrue([for table in values(var.tables) : contains(["json", "parquet"], table.format)])
    error_message = "A table's format must be json or parquet."
  }

  validation {
    condition     = alltrue([for table in values(var.tables) : length(table.columns) > 0])
    error_message = "A table needs at least one column."
  }

  validation {
    condition = alltrue([
      for table in values(var.tables) : alltrue([
        for column in concat(table.columns, table.partitions) :
        can(regex("^[a-z_][a-z0-9_]*$", column.name)) && can(regex("^[a-z][a-z0-9<>(),:_ ]*$", column.type))
      ])
    ])
    error_message = "A column must have a name of lower-case letters, digits and underscores, and a type as Athena writes it, such as bigint or decimal(12,2)."
  }

  validation {
    condition = alltrue([
      for table in values(var.tables) :
      length(distinct([for column in concat(table.columns, table.partitions) : column.name])) == length(concat(table.columns, table.partitions))
    ])
    error_message = "The columns and partitions of a table must all have different names."
  }
}

variable "results_bucket" {
  description = "The name of the bucket that the results of queries are written to."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.results_bucket))
    error_message = "The bucket must be given by its name, such as acme-results."
  }
}

variable "results_prefix" {
  description = "Where in that bucket: the beginning of the keys, with a slash at the end."
  type        = string
  default     = "results/"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/$", var.results_prefix))
    error_message = "The prefix must look like results/: no slash at the beginning, one at the end."
  }
}

variable "results_kms_key_arn" {
  description = "The ARN of the KMS key that results are encrypted with; none for the one that S3 manages."
  type        = string
  default     = null

  validation {
    condition     = var.results_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.results_kms_key_arn))
    error_message = "The key must be given by its ARN, such as arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab."
  }
}

variable "query_limit_mib" {
  description = "How much a single query may read, in MiB; one that would read more is stopped. Athena bills by what is read."
  type        = number
  default     = 10240
  nullable    = false

  validation {
    condition     = var.query_limit_mib >= 10 && floor(var.query_limit_mib) == var.query_limit_mib
    error_message = "The limit must be a whole number of MiB, 10 at least."
  }
}

variable "force_destroy" {
  description = "Whether a destroy also deletes the workgroup's saved queries and its history. Without it, one that has any is not destroyed."
  type        = bool
  default     = false
  nullable    = false
}
