# Rendered by infra-orch from stacks/prod/stack.py, unit "web". Edit that file, not this one:
# `infra-orch render prod` writes it anew.

output "ami_id" {
  value = module.web.ami_id
}

output "group_name" {
  value = module.web.group_name
}

output "health_path" {
  value = module.web.health_path
}

output "launch_template_id" {
  value = module.web.launch_template_id
}

output "name" {
  value = module.web.name
}

output "port" {
  value = module.web.port
}

output "security_group_id" {
  value = module.web.security_group_id
}

output "server_count" {
  value = module.web.server_count
}
