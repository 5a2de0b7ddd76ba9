data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

locals {
  account  = data.aws_caller_identity.this.account_id
  region   = data.aws_region.this.id
  rule_set = var.rule_set_name == null ? aws_ses_receipt_rule_set.this[0].rule_set_name : var.rule_set_name

  # Written out, because the rule needs the bucket's and the topic's policies before it can be made.
  rule_arn = "arn:${data.aws_partition.this.partition}:ses:${local.region}:${local.account}:receipt-rule-set/${local.rule_set}:receipt-rule/${var.name}"

  # SES of this account, for the sake of this rule, and nobody else: its ARN could be guessed by another account.
  for_this_rule = {
    StringEquals = {
      "aws:SourceAccount" = local.account
      "aws:SourceArn"     = local.rule_arn
    }
  }

  recipients = length(var.recipients) > 0 ? var.recipients : [var.domain]
  strays     = [for one in local.recipients : one if !endswith("@${lower(one)}", "@${lower(var.domain)}") && !endswith(lower(one), ".${lower(var.domain)}")]
}

# One key for mails and notices. The keys that AWS manages will not do: SES may not use the one of SNS.
resource "aws_kms_key" "this" {
  description             = "Encrypts the mails of ${var.name} and the notices of them"
  deletion_window_in_days = 7
  enable_key_rotation     = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountDecidesByItsOwnPolicies"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.this.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        # For which rule, the policies of bucket and topic say. No condition here: one that SES's calls by way of these
        # two did not meet would lose mails, and no emulator can try it.
        Sid       = "SesEncrypts"
        Effect    = "Allow"
        Principal = { Service = "ses.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
      },
    ]
  })

  tags = {
    Name = var.name
  }
}

resource "aws_s3_bucket" "this" {
  bucket_prefix = "${var.name}-"
  force_destroy = var.force_destroy

  tags = {
    Name = var.name
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.this.arn
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "mails-go"
    status = "Enabled"

    filter {}

    expiration {
      days = var.retention_days
    }

    # What was deleted, by the line above or by mistake, can be had back for a week.
    noncurrent_version_expiration {
      noncurrent_days = 7
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "SesStoresMails"
        Effect    = "Allow"
        Principal = { Service = "ses.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.this.arn}/${var.object_key_prefix}*"
        Condition = local.for_this_rule
      },
      {
        Sid       = "NothingInTheClear"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_sns_topic" "this" {
  name              = var.name
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_policy" "this" {
  arn = aws_sns_topic.this.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "SesTellsOfMails"
        Effect    = "Allow"
        Principal = { Service = "ses.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
        Condition = local.for_this_rule
      },
      {
        Sid       = "NothingInTheClear"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_ses_domain_identity" "this" {
  count = var.verify_domain ? 1 : 0

  domain = var.domain
}

resource "aws_ses_domain_dkim" "this" {
  count = var.verify_domain ? 1 : 0

  domain = aws_ses_domain_identity.this[0].domain
}

resource "aws_ses_receipt_rule_set" "this" {
  count = var.rule_set_name == null ? 1 : 0

  rule_set_name = var.name
}

resource "aws_ses_receipt_rule" "this" {
  name          = var.name
  rule_set_name = local.rule_set
  after         = var.after_rule
  enabled       = var.enabled
  recipients    = local.recipients
  scan_enabled  = var.scan
  tls_policy    = var.require_tls ? "Require" : "Optional"

  # The notice comes by this action, not by one of its own: so it is sent once the mail lies in the bucket, names the
  # object, and does not hold the mail's text.
  s3_action {
    position          = 1
    bucket_name       = aws_s3_bucket.this.bucket
    object_key_prefix = var.object_key_prefix
    topic_arn         = aws_sns_topic.this.arn
  }

  lifecycle {
    precondition {
      condition     = length(local.strays) == 0
      error_message = "Every recipient must be ${var.domain}, a part of it, or an address in it; these are not: ${join(", ", local.strays)}."
    }
  }

  # SES tries at once whether it may write.
  depends_on = [
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_sns_topic_policy.this,
  ]
}

resource "aws_ses_active_receipt_rule_set" "this" {
  count = var.activate ? 1 : 0

  rule_set_name = local.rule_set

  depends_on = [aws_ses_receipt_rule.this]
}
