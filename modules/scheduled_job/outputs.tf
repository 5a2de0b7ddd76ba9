output "name" {
  description = "What the job is called: the name of its schedule, and of the group that this is in."
  value       = aws_scheduler_schedule.this.name
}

output "schedule_arn" {
  description = "The ARN of the schedule."
  value       = aws_scheduler_schedule.this.arn
}

output "time_zone" {
  description = "The time zone that the schedule means."
  value       = var.time_zone
}

output "role_arn" {
  description = "The ARN of the role that the target is started with; a key policy may have to name it."
  value       = aws_iam_role.this.arn
}

output "alarm_names" {
  description = "The names of the alarms, in alphabetical order."
  value       = aws_cloudwatch_metric_alarm.undelivered[*].alarm_name
}
