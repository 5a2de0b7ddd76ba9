locals {
  # Every attribute that is part of a key, once. One that is used twice must have one type: see the precondition.
  keys = concat(
    [var.hash_key],
    var.range_key == null ? [] : [var.range_key],
    flatten([for index in values(var.indexes) : [index.hash_key, index.range_key]]),
  )
  types = { for key in local.keys : key.name => key.type... if key != null }
}

resource "aws_dynamodb_table" "this" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.hash_key.name
  range_key                   = try(var.range_key.name, null)
  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = local.types

    content {
      name = attribute.key
      type = attribute.value[0]
    }
  }

  dynamic "global_secondary_index" {
    for_each = var.indexes

    content {
      name               = global_secondary_index.key
      hash_key           = global_secondary_index.value.hash_key.name
      range_key          = try(global_secondary_index.value.range_key.name, null)
      projection_type    = global_secondary_index.value.projection
      non_key_attributes = global_secondary_index.value.projection == "INCLUDE" ? global_secondary_index.value.non_key_attributes : null
    }
  }

  dynamic "ttl" {
    for_each = var.ttl_attribute == null ? [] : [var.ttl_attribute]

    content {
      enabled        = true
      attribute_name = ttl.value
    }
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  # DynamoDB encrypts in any case. Without this block it does so with a key that nobody sees; with it, every use of the
  # key (alias/aws/dynamodb, or your own) is in CloudTrail.
  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }

  tags = {
    Name = var.name
  }

  lifecycle {
    precondition {
      condition     = try(var.range_key.name, null) != var.hash_key.name
      error_message = "${var.hash_key.name} cannot be both keys of the table ${var.name}."
    }

    precondition {
      condition     = alltrue([for types in values(local.types) : length(distinct(types)) == 1])
      error_message = "An attribute has one type in all keys: ${join(", ", [for name, types in local.types : "${name} is ${join(" and ", distinct(types))}" if length(distinct(types)) > 1])}."
    }
  }
}
