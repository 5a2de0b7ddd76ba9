variable "name" {
  description = "What the role is called."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,63}$", var.name))
    error_message = "The name must begin with a letter and hold letters, digits and hyphens, at most 64 of them."
  }
}

variable "host" {
  description = "Whose jobs take the role: github or gitlab."
  type        = string
  default     = "github"
  nullable    = false

  validation {
    condition     = contains(["github", "gitlab"], var.host)
    error_message = "The host must be github or gitlab."
  }
}

variable "issuer" {
  description = "The address that signs the jobs' tokens, for a GitLab or a GitHub Enterprise Server of one's own. That of github.com or gitlab.com where none is given."
  type        = string
  default     = null

  validation {
    condition     = var.issuer == null || can(regex("^https://[A-Za-z0-9.-]+(/[A-Za-z0-9._-]+)*$", var.issuer))
    error_message = "The issuer must look like https://gitlab.example.com, without a slash at the end."
  }
}

variable "audience" {
  description = "Whom the tokens are for. Where none is given, sts.amazonaws.com for GitHub, as its action for AWS asks for, and the issuer's address for GitLab."
  type        = string
  default     = null

  validation {
    condition     = var.audience == null || can(regex("^[A-Za-z0-9][A-Za-z0-9:/._-]*$", var.audience))
    error_message = "The audience must be one name or address, such as sts.amazonaws.com, without a wildcard."
  }
}

variable "create_oidc_provider" {
  description = "Whether the account's OIDC provider for the issuer is made here. An account has one for each issuer, so the first role makes it and all others do not."
  type        = bool
  default     = true
  nullable    = false
}

variable "repository" {
  description = "The one repository whose jobs take the role: owner/name at GitHub, group/project or group/subgroup/project at GitLab."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*)+$", var.repository))
    error_message = "The repository must be named whole, as owner/name, without a wildcard."
  }
}

variable "branches" {
  description = "The branches whose jobs take the role."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for branch in var.branches : can(regex("^[A-Za-z0-9][A-Za-z0-9/._#+@-]*$", branch))])
    error_message = "Every branch must be named whole, without a wildcard: letters, digits and / . _ # + @ -."
  }
}

variable "environments" {
  description = "The environments of GitHub whose jobs take the role. A job that names an environment is known by that alone, whatever its branch: which branches may, the environment's own rules say."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for environment in var.environments : can(regex("^[A-Za-z0-9][A-Za-z0-9 ._-]*$", environment))])
    error_message = "Every environment must be named whole, without a wildcard: letters, digits, spaces and . _ -."
  }
}

variable "artifact_bucket_arn" {
  description = "The ARN of the bucket with the artifacts."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.artifact_bucket_arn))
    error_message = "The bucket must be given by its ARN, such as arn:aws:s3:::acme-artifacts."
  }
}

variable "artifact_prefix" {
  description = "Where in the bucket: the beginning of the keys that the role may use, with a slash at its end, such as builds/shop/."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/$", var.artifact_prefix))
    error_message = "The prefix must look like builds/shop/: no slash at the beginning, one at the end, no wildcard."
  }
}

variable "artifact_kms_key_arn" {
  description = "The ARN of the KMS key that the bucket's objects are encrypted with; none where S3 manages it."
  type        = string
  default     = null

  validation {
    condition     = var.artifact_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.artifact_kms_key_arn))
    error_message = "The key must be given by its ARN, such as arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab."
  }
}

variable "artifact_access" {
  description = "What the role may do there: write (put, and get) or read (get alone). Nothing is ever deleted."
  type        = string
  default     = "write"
  nullable    = false

  validation {
    condition     = contains(["read", "write"], var.artifact_access)
    error_message = "The access must be read or write."
  }
}

variable "permissions_boundary_arn" {
  description = "The ARN of a policy that bounds whatever the role is ever given."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$", var.permissions_boundary_arn))
    error_message = "The boundary must be given by the policy's ARN, such as arn:aws:iam::123456789012:policy/ci-boundary."
  }
}

variable "session_minutes" {
  description = "How long a job's credentials last at most, 60 to 720."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.session_minutes >= 60 && var.session_minutes <= 720 && floor(var.session_minutes) == var.session_minutes
    error_message = "The number of minutes must be a whole number from 60 to 720."
  }
}
