data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

locals {
  account          = data.aws_caller_identity.this.account_id
  suffix           = var.fifo ? ".fifo" : ""
  name             = "${var.name}${local.suffix}"
  dead_letter_name = "${var.name}-dead${local.suffix}"

  # Written out, so that each queue is made with its policy, closed from its first moment on.
  prefix          = "arn:${data.aws_partition.this.partition}:sqs:${data.aws_region.this.id}:${local.account}"
  arn             = "${local.prefix}:${local.name}"
  dead_letter_arn = "${local.prefix}:${local.dead_letter_name}"

  # SQS's own key where no other is given. It costs nothing and needs no rights of those who send.
  managed = var.kms_key_arn == null

  nothing_in_the_clear = {
    Sid       = "NothingInTheClear"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
  services = sort(keys(var.senders))
}

# The last stop of a message that could not be worked off. Encrypted and closed like the queue itself.
resource "aws_sqs_queue" "dead_letters" {
  name                              = local.dead_letter_name
  fifo_queue                        = var.fifo
  message_retention_seconds         = var.dead_letter_retention_seconds
  sqs_managed_sse_enabled           = local.managed ? true : null
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = local.managed ? null : 300

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.nothing_in_the_clear, { Resource = local.dead_letter_arn })]
  })

  # Nobody else's queue may use this one for its dead letters.
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.arn]
  })

  lifecycle {
    precondition {
      # A message keeps the time at which it was first sent, so one that was moved late would be deleted at once.
      condition     = var.dead_letter_retention_seconds > var.message_retention_seconds
      error_message = "dead_letter_retention_seconds (${var.dead_letter_retention_seconds}) must be more than message_retention_seconds (${var.message_retention_seconds}): a message that was moved keeps its age."
    }
  }
}

resource "aws_sqs_queue" "this" {
  name                              = local.name
  fifo_queue                        = var.fifo
  content_based_deduplication       = var.fifo ? var.content_based_deduplication : null
  visibility_timeout_seconds        = var.visibility_timeout_seconds
  message_retention_seconds         = var.message_retention_seconds
  delay_seconds                     = var.delay_seconds
  receive_wait_time_seconds         = 20 # long polling, unless who receives says otherwise: fewer empty answers to pay for
  sqs_managed_sse_enabled           = local.managed ? true : null
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = local.managed ? null : 300

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.max_receive_count
  })

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [merge(local.nothing_in_the_clear, { Resource = local.arn })],
      [for index, service in local.services : {
        Sid       = "Send${index}"
        Effect    = "Allow"
        Principal = { Service = service }
        Action    = "sqs:SendMessage"
        Resource  = local.arn
        Condition = {
          ArnLike      = { "aws:SourceArn" = var.senders[service] }
          StringEquals = { "aws:SourceAccount" = local.account }
        }
      }],
    )
  })
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  count = length(var.alarm_topic_arns) > 0 ? 1 : 0

  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "Messages of ${local.name} could not be worked off and lie in ${local.dead_letter_name}: see why, then move them back (SQS: start DLQ redrive)."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.alarm_dead_letters
  period              = 60
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # SQS sends no figures of a queue that nobody used for hours
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

resource "aws_cloudwatch_metric_alarm" "age" {
  count = length(var.alarm_topic_arns) > 0 && var.alarm_age_seconds != null ? 1 : 0

  alarm_name          = "${var.name}-age"
  alarm_description   = "The oldest message of ${local.name} waits longer than it should: is whoever works them off still there?"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.this.name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.alarm_age_seconds
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
