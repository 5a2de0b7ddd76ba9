output "database" {
  description = "The name of the Glue database."
  value       = aws_glue_catalog_database.this.name
}

output "workgroup" {
  description = "The name of the Athena workgroup that queries run in."
  value       = aws_athena_workgroup.this.name
}

output "locations" {
  description = "Where the objects of each table lie: its name => an address that begins with s3://."
  value       = { for name, table in aws_glue_catalog_table.this : name => table.storage_descriptor[0].location }
}

output "results_location" {
  description = "Where the results of queries are written."
  value       = "s3://${var.results_bucket}/${var.results_prefix}"
}
