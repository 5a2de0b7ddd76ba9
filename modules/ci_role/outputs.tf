output "name" {
  description = "What the role is called; more policies can be attached to it by this name."
  value       = aws_iam_role.this.name
}

output "arn" {
  description = "The ARN of the role, for the job that takes it."
  value       = aws_iam_role.this.arn
}

output "oidc_provider_arn" {
  description = "The ARN of the account's OIDC provider for the issuer."
  value       = local.provider_arn
}

output "subjects" {
  description = "Who may take the role, as the tokens of jobs say it."
  value       = local.subjects
}

output "artifact_prefix" {
  description = "The beginning of the keys of the objects that the role may use."
  value       = var.artifact_prefix
}
