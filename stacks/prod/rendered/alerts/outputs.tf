# Rendered by infra-orch from stacks/prod/stack.py, unit "alerts". Edit that file, not this one:
# `infra-orch render prod` writes it anew.

output "alarm_names" {
  value = module.alerts.alarm_names
}

output "name" {
  value = module.alerts.name
}

output "topic_arn" {
  value = module.alerts.topic_arn
}
