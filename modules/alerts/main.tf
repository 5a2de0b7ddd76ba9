data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

locals {
  account = data.aws_caller_identity.this.account_id
  alarm   = "arn:${data.aws_partition.this.partition}:cloudwatch:${data.aws_region.this.id}:${local.account}:alarm"
  alarms  = [for prefix in concat(["${var.name}-"], var.alarm_prefixes) : "${local.alarm}:${prefix}*"]
}

# A key of our own, because CloudWatch cannot use the one that AWS manages for SNS (alias/aws/sns): a topic that is
# encrypted with that one looks well and never gets an alarm.
# https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
resource "aws_kms_key" "this" {
  description             = "Encrypts the alerts of the SNS topic ${var.name}"
  deletion_window_in_days = 7
  enable_key_rotation     = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountDecidesByItsOwnPolicies"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.this.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "CloudWatchAlarmsPublish"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
      },
    ]
  })

  tags = {
    Name = var.name
  }
}

resource "aws_sns_topic" "this" {
  name              = var.name
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_policy" "this" {
  arn = aws_sns_topic.this.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsOfTheseNamesPublish"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
        Condition = {
          ArnLike      = { "aws:SourceArn" = local.alarms }
          StringEquals = { "aws:SourceAccount" = local.account }
        }
      },
      {
        Sid       = "NothingInTheClear"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.email_addresses)

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = each.value
}

# A program that calls people, such as an incident service. SNS asks it for a confirmation, too, which most give at once.
resource "aws_sns_topic_subscription" "https" {
  for_each = nonsensitive(toset(keys(var.https_endpoints)))

  topic_arn              = aws_sns_topic.this.arn
  protocol               = "https"
  endpoint               = var.https_endpoints[each.key]
  endpoint_auto_confirms = true
}

resource "aws_sns_topic_subscription" "queue" {
  for_each = var.queue_arns

  topic_arn = aws_sns_topic.this.arn
  protocol  = "sqs"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "cpu" {
  for_each = var.server_groups

  alarm_name          = "${var.name}-${each.key}-cpu"
  alarm_description   = "The servers of ${each.value} have been busy for ten minutes: give the group more servers or bigger ones."
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  dimensions          = { AutoScalingGroupName = each.value }
  statistic           = "Average"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.cpu_percent
  period              = 300 # what EC2 sends without detailed monitoring
  evaluation_periods  = 2
  treat_missing_data  = "missing"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}

resource "aws_cloudwatch_metric_alarm" "status" {
  for_each = var.server_groups

  alarm_name          = "${var.name}-${each.key}-status"
  alarm_description   = "A server of ${each.value} fails EC2's status checks. The group replaces it; look here if that does not help."
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { AutoScalingGroupName = each.value }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 2
  treat_missing_data  = "missing"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}
