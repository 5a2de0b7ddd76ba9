output "name" {
  description = "What the route is called."
  value       = var.name
}

output "bucket" {
  description = "The name of the bucket that the mails are in."
  value       = aws_s3_bucket.this.bucket
}

output "bucket_arn" {
  description = "The ARN of the bucket, for the policies of those who read the mails."
  value       = aws_s3_bucket.this.arn
}

output "object_key_prefix" {
  description = "The beginning of the objects' names."
  value       = var.object_key_prefix
}

output "topic_arn" {
  description = "The ARN of the topic that tells of every mail, with the name of its object."
  value       = aws_sns_topic.this.arn
}

output "kms_key_arn" {
  description = "The ARN of the key; who reads the mails needs kms:Decrypt for it."
  value       = aws_kms_key.this.arn
}

output "rule_set_name" {
  description = "The rule set that the rule is in."
  value       = local.rule_set
}

output "active" {
  description = "Whether this module made the rule set the active one."
  value       = var.activate
}

output "dns_records" {
  description = "What has to be in the domain's DNS: where its mails go, that it is yours, and the keys for DKIM."
  value = concat(
    [{ name = var.domain, type = "MX", value = "10 inbound-smtp.${local.region}.amazonaws.com" }],
    [for identity in aws_ses_domain_identity.this : {
      name = "_amazonses.${var.domain}", type = "TXT", value = identity.verification_token
    }],
    flatten([for dkim in aws_ses_domain_dkim.this : [for token in dkim.dkim_tokens : {
      name = "${token}._domainkey.${var.domain}", type = "CNAME", value = "${token}.dkim.amazonses.com"
    }]]),
  )
}
