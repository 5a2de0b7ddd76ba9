output "name" {
  description = "What the servers are called."
  value       = var.name
}

output "group_name" {
  description = "The name of the Auto Scaling group that keeps the servers running."
  value       = aws_autoscaling_group.this.name
}

output "security_group_id" {
  description = "The id of the servers' security group."
  value       = aws_security_group.this.id
}

output "launch_template_id" {
  description = "The id of the launch template that the servers are made from."
  value       = aws_launch_template.this.id
}

output "ami_id" {
  description = "The id of the machine image that the servers run."
  value       = data.aws_ami.this.id
}

output "server_count" {
  description = "How many servers run."
  value       = var.server_count
}

output "port" {
  description = "The TCP port that the servers answer HTTP on."
  value       = var.port
}

output "health_path" {
  description = "The path that answers 200 while a server is well."
  value       = local.health_path
}
