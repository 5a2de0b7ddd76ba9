output "name" {
  description = "What the environment is called."
  value       = var.name
}

output "branch" {
  description = "The branch, as git calls it."
  value       = var.branch
}

output "parameter_path" {
  description = "The path in Parameter Store below which everything is that the application is told."
  value       = local.path

  depends_on = [aws_ssm_parameter.this]
}

output "event_bus" {
  description = "The name of the event bus."
  value       = aws_cloudwatch_event_bus.this.name
}

output "log_group" {
  description = "The name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}
