# What a bucket refuses whoever asks, and which services of AWS may write logs. Who may read and write data is said in
# the roles' policies (workloads.tf, people.tf), for roles of this account only.

locals {
  deny_plain_http = { for bucket, arn in local.bucket_arns : bucket => {
    Sid       = "RefuseWithoutTls"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = [arn, "${arn}/*"]
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  } }

  deny_old_tls = { for bucket, arn in local.bucket_arns : bucket => {
    Sid       = "RefuseOldTls"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = [arn, "${arn}/*"]
    Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
  } }

  log_delivery = [
    {
      Sid       = "S3AccessLogs"
      Effect    = "Allow"
      Principal = { Service = "logging.s3.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "${local.bucket_arns["logs"]}/s3-access/*"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = [for bucket, arn in local.bucket_arns : arn if bucket != "logs"] }
      }
    },
    {
      Sid       = "VpcFlowLogs"
      Effect    = "Allow"
      Principal = { Service = "delivery.logs.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "${local.bucket_arns["logs"]}/vpc-flow-logs/AWSLogs/${local.account}/*"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account, "s3:x-amz-acl" = "bucket-owner-full-control" }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:logs:${var.region}:${local.account}:*" }
      }
    },
    {
      Sid       = "VpcFlowLogsCheck"
      Effect    = "Allow"
      Principal = { Service = "delivery.logs.amazonaws.com" }
      Action    = ["s3:GetBucketAcl", "s3:ListBucket"]
      Resource  = local.bucket_arns["logs"]
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:logs:${var.region}:${local.account}:*" }
      }
    },
  ]
}

resource "aws_s3_bucket_policy" "this" {
  for_each = local.bucket_names

  bucket = aws_s3_bucket.this[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [local.deny_plain_http[each.key], local.deny_old_tls[each.key]],
      [for statement in local.log_delivery : statement if each.key == "logs"],
    )
  })

  # A policy and a public access block of one bucket set at once are refused by S3.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
