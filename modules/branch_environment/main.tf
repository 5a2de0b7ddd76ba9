locals {
  path = "/${var.application}/branches/${var.name}"

  settings = merge(var.settings, {
    branch    = var.branch
    event_bus = aws_cloudwatch_event_bus.this.name
    log_group = aws_cloudwatch_log_group.this.name
  })
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.path
  retention_in_days = var.log_days
}

# A bus of its own: what one branch tells reaches no other, and nothing on the account's default bus.
resource "aws_cloudwatch_event_bus" "this" {
  name = "${var.application}-${var.name}"
}

resource "aws_ssm_parameter" "this" {
  for_each = toset(concat(keys(var.settings), ["branch", "event_bus", "log_group"]))

  name           = "${local.path}/${each.key}"
  type           = "String"
  insecure_value = local.settings[each.key] # no secrets here, so that plans show what changes
}
