# Two keys: one for what customers did, one for what runs the platform. Who reads the platform's logs or restores its
# database is thereby not given the data.

locals {
  key_administration = {
    Sid       = "AccountDecidesByIam"
    Effect    = "Allow"
    Principal = { AWS = local.root }
    Action    = "kms:*"
    Resource  = "*" # in a key's policy: this key
  }
}

resource "aws_kms_key" "data" {
  description             = "${local.name}: zones and query results"
  enable_key_rotation     = true
  deletion_window_in_days = var.protect_data ? 30 : 7

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [local.key_administration]
  })
}

resource "aws_kms_alias" "data" {
  name          = "alias/${local.name}-data"
  target_key_id = aws_kms_key.data.key_id
}

resource "aws_kms_key" "platform" {
  description             = "${local.name}: cluster secrets, database, images, logs, alarms"
  enable_key_rotation     = true
  deletion_window_in_days = var.protect_data ? 30 : 7

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.key_administration,
      {
        Sid       = "LogGroups"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "${local.logs_arn}:*" } }
      },
      {
        Sid       = "AlarmsIntoTheTopic"
        Effect    = "Allow"
        Principal = { Service = local.alarm_services }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
}

resource "aws_kms_alias" "platform" {
  name          = "alias/${local.name}-platform"
  target_key_id = aws_kms_key.platform.key_id
}
