# What is known of the bucket before it is there waits for all that makes it safe: nobody who uses it writes earlier.
output "name" {
  description = "The name of the bucket."
  value       = local.bucket

  depends_on = [
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_versioning.this,
  ]
}

output "arn" {
  description = "The ARN of the bucket."
  value       = "arn:${data.aws_partition.this.partition}:s3:::${local.bucket}"

  depends_on = [
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_versioning.this,
  ]
}

output "kms_key_arn" {
  description = "The ARN of the KMS key, which whoever reads or writes objects must be allowed to use; null for S3's own."
  value       = var.kms_key_arn
}
