output "name" {
  description = "The name of the table."
  value       = aws_dynamodb_table.this.name
}

output "arn" {
  description = "The ARN of the table, for the policies of those who use it."
  value       = aws_dynamodb_table.this.arn
}

output "index_arns" {
  description = "The ARNs of the indexes, by name."
  value       = { for name in keys(var.indexes) : name => "${aws_dynamodb_table.this.arn}/index/${name}" }
}

output "hash_key" {
  description = "The name of the attribute that items are spread by."
  value       = aws_dynamodb_table.this.hash_key
}

output "range_key" {
  description = "The name of the attribute that items of one hash key are sorted by, or null."
  value       = try(var.range_key.name, null)
}
