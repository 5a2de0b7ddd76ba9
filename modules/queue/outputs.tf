output "name" {
  description = "The name of the queue, as CloudWatch knows it."
  value       = aws_sqs_queue.this.name
}

output "arn" {
  description = "The ARN of the queue."
  value       = aws_sqs_queue.this.arn
}

output "url" {
  description = "The URL of the queue, to send to and to receive from."
  value       = aws_sqs_queue.this.url
}

output "dead_letter_arn" {
  description = "The ARN of the queue of the dead letters."
  value       = aws_sqs_queue.dead_letters.arn
}

output "dead_letter_url" {
  description = "The URL of the queue of the dead letters."
  value       = aws_sqs_queue.dead_letters.url
}

output "max_receive_count" {
  description = "How often a message is received before it is a dead letter."
  value       = var.max_receive_count
}

output "alarm_names" {
  description = "The names of the alarms, in alphabetical order."
  value = sort(concat(
    aws_cloudwatch_metric_alarm.age[*].alarm_name,
    aws_cloudwatch_metric_alarm.dead_letters[*].alarm_name,
  ))
}
