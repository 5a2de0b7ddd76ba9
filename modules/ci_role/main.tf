data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  issuers = {
    github = "https://token.actions.githubusercontent.com"
    gitlab = "https://gitlab.com"
  }

  issuer = coalesce(var.issuer, local.issuers[var.host])
  claims = trimprefix(local.issuer, "https://") # how IAM names the claims of its tokens, and the provider

  audience = coalesce(var.audience, var.host == "github" ? "sts.amazonaws.com" : local.issuer)

  # A provider's ARN is made of its address, so that one which is there already need not be handed in.
  provider_arn = "arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}:oidc-provider/${local.claims}"

  # Who a job is, as its token says.
  # https://docs.github.com/en/actions/reference/security/oidc
  # https://docs.gitlab.com/ci/secrets/id_token_authentication/
  subjects = var.host == "github" ? concat(
    [for branch in var.branches : "repo:${var.repository}:ref:refs/heads/${branch}"],
    [for environment in var.environments : "repo:${var.repository}:environment:${environment}"],
  ) : [for branch in var.branches : "project_path:${var.repository}:ref_type:branch:ref:${branch}"]

  writes = var.artifact_access == "write"
}

resource "aws_iam_openid_connect_provider" "this" {
  count = var.create_oidc_provider ? 1 : 0

  url            = local.issuer
  client_id_list = [local.audience]
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "Jobs of ${var.repository} at ${local.claims}, by their tokens"
  max_session_duration = 60 * var.session_minutes
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "JobsOfTheRepository"
      Effect    = "Allow"
      Principal = { Federated = local.provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        # Equal, not alike: nothing in a name is a wildcard.
        StringEquals = {
          "${local.claims}:aud" = local.audience
          "${local.claims}:sub" = local.subjects
        }
      }
    }]
  })

  lifecycle {
    precondition {
      condition     = length(local.subjects) > 0
      error_message = "The role ${var.name} needs at least one branch, or an environment of GitHub's: nobody could take it."
    }

    precondition {
      condition     = var.host != "github" || length(split("/", var.repository)) == 2
      error_message = "A repository at GitHub is owner/name: nobody could take the role ${var.name} for ${var.repository}."
    }

    precondition {
      condition     = var.host == "github" || length(var.environments) == 0
      error_message = "GitLab's tokens do not say the environment where IAM looks: give ${var.name} branches, and protect them."
    }
  }

  depends_on = [aws_iam_openid_connect_provider.this]
}

resource "aws_iam_role_policy" "artifacts" {
  name = "artifacts"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "ListThePrefix"
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = [var.artifact_bucket_arn]
          Condition = { StringLike = { "s3:prefix" = ["${var.artifact_prefix}*"] } }
        },
        {
          Sid    = local.writes ? "WriteThePrefix" : "ReadThePrefix"
          Effect = "Allow"
          Action = concat(
            ["s3:GetObject"],
            local.writes ? ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"] : [],
          )
          Resource = ["${var.artifact_bucket_arn}/${var.artifact_prefix}*"]
        },
      ],
      var.artifact_kms_key_arn == null ? [] : [
        {
          Sid       = "UseTheKey"
          Effect    = "Allow"
          Action    = concat(["kms:Decrypt"], local.writes ? ["kms:GenerateDataKey"] : [])
          Resource  = [var.artifact_kms_key_arn]
          Condition = { StringLike = { "kms:ViaService" = "s3.*.${data.aws_partition.this.dns_suffix}" } }
        },
      ],
    )
  })
}
