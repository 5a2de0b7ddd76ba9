data "aws_caller_identity" "this" {}

locals {
  account = data.aws_caller_identity.this.account_id
  service = split(":", var.target_arn)[2]
  fifo    = var.message_group_id != null

  # What the target needs, and nothing else. Whatever is no queue is a function, or the input would have been refused.
  action = local.service == "sqs" ? "sqs:SendMessage" : "lambda:InvokeFunction"
}

# A group of its own: the role can be bound to it, and it goes with its schedule.
resource "aws_scheduler_schedule_group" "this" {
  name = var.name

  tags = {
    Name = var.name
  }
}

resource "aws_scheduler_schedule" "this" {
  name                         = var.name
  group_name                   = aws_scheduler_schedule_group.this.name
  description                  = var.description
  schedule_expression          = var.schedule_expression
  schedule_expression_timezone = var.time_zone
  state                        = var.enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode                      = var.flexible_minutes == 0 ? "OFF" : "FLEXIBLE"
    maximum_window_in_minutes = var.flexible_minutes == 0 ? null : var.flexible_minutes
  }

  target {
    arn      = var.target_arn
    role_arn = aws_iam_role.this.arn
    input    = var.input

    dynamic "sqs_parameters" {
      for_each = local.fifo ? [var.message_group_id] : []

      content {
        message_group_id = sqs_parameters.value
      }
    }

    retry_policy {
      maximum_retry_attempts       = var.maximum_retry_attempts
      maximum_event_age_in_seconds = var.maximum_event_age_seconds
    }

    dead_letter_config {
      arn = var.dead_letter_arn
    }
  }

  lifecycle {
    precondition {
      condition     = endswith(var.target_arn, ".fifo") == local.fifo
      error_message = "A FIFO queue as a target needs a message_group_id, and no other target takes one: ${var.target_arn}."
    }
  }

  # Without its rights a schedule that is due at once would end in the dead letters, or nowhere.
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_iam_role" "this" {
  name        = "${var.name}-scheduler"
  description = "Lets EventBridge Scheduler start ${var.name}, and nothing else"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "SchedulesOfThisGroup"
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        ArnEquals    = { "aws:SourceArn" = aws_scheduler_schedule_group.this.arn }
        StringEquals = { "aws:SourceAccount" = local.account }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "deliver"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "Target"
          Effect   = "Allow"
          Action   = local.action
          Resource = var.target_arn
        },
        {
          Sid      = "DeadLetters"
          Effect   = "Allow"
          Action   = "sqs:SendMessage"
          Resource = var.dead_letter_arn
        },
      ],
      [for key in var.kms_key_arns : {
        Sid      = "Encrypt${index(var.kms_key_arns, key)}"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = key
      }],
    )
  })
}

resource "aws_cloudwatch_metric_alarm" "undelivered" {
  count = length(var.alarm_topic_arns) > 0 ? 1 : 0

  alarm_name          = "${var.name}-undelivered"
  alarm_description   = "The schedule ${var.name} gave up on its target. What it would have been given is in ${reverse(split(":", var.dead_letter_arn))[0]}; its attributes say why."
  namespace           = "AWS/Scheduler"
  metric_name         = "InvocationDroppedCount"
  dimensions          = { ScheduleGroup = aws_scheduler_schedule_group.this.name }
  statistic           = "Sum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # nothing is sent where nothing went wrong
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
