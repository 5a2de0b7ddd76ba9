output "name" {
  description = "What the alerts are called."
  value       = var.name
}

output "topic_arn" {
  description = "The ARN of the SNS topic that the alarms go to; anything else may subscribe to it."
  value       = aws_sns_topic.this.arn
}

output "alarm_names" {
  description = "The names of the alarms, in alphabetical order."
  value = sort(concat(
    [for alarm in aws_cloudwatch_metric_alarm.cpu : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.status : alarm.alarm_name],
  ))
}
