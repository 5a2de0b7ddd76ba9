# Stands in for a topic, and an alarm for each group of servers.

variable "name" {
  type = string
}

variable "server_groups" {
  type = map(string)
}

resource "terraform_data" "topic" {
  input = var.name
}

resource "terraform_data" "alarm" {
  for_each = var.server_groups
  input    = { group = each.value, tells = terraform_data.topic.id }
}

output "alarm_names" {
  value = [for key, alarm in terraform_data.alarm : "${var.name}-${key}"]
}
