# Glue: the database, its tables as the pipeline's registry exports them, and one crawler per table that adds the days.
#
# The crawlers' targets are the declared tables (catalog targets), which is how AWS documents crawling into tables that
# are not the crawler's own: no table is made beside the declared one, and its columns stay. Such targets take no
# exclusions and need none: a table's prefix holds days alone, since staging, manifests and failed days have prefixes
# of their own beside it, and executors may write nowhere but to _staging/.
# They crawl everything each time, the only way such targets know: one object a day is soon listed, and a partition
# that somebody removed comes back.

locals {
  catalog_arns    = ["${local.glue_arn}:catalog", "${local.glue_arn}:database/${local.glue_database}"]
  crawler_role    = "${local.name}-crawler"
  crawler_logs    = "/aws-glue/crawlers-role/${local.crawler_role}-${local.name}"
  table_locations = { for name, table in local.tables : name => "s3://${local.bucket_names[table.zone]}/${name}/" }

  crawler_policy = concat(
    [for zone, tables in local.table_prefixes : {
      Sid       = "List${title(zone)}"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = local.bucket_arns[zone]
      Condition = { StringLike = { "s3:prefix" = flatten([for table in tables : [table, "${table}/*"]]) } }
    }],
    [
      {
        Sid      = "ReadTables"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = local.table_objects
      },
      {
        Sid       = "DataKey"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = aws_kms_key.data.arn
        Condition = local.data_key_by_s3
      },
      {
        # Neither CreateTable nor DeleteTable nor DeletePartition: a crawl that would do so fails and is seen.
        Sid    = "AddDays"
        Effect = "Allow"
        Action = [
          "glue:BatchCreatePartition", "glue:BatchGetPartition", "glue:BatchUpdatePartition", "glue:CreatePartition",
          "glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable", "glue:GetTables",
          "glue:UpdatePartition", "glue:UpdateTable",
        ]
        Resource = concat(local.catalog_arns, [for table in keys(local.tables) : "${local.glue_arn}:table/${local.glue_database}/${table}"])
      },
      {
        Sid      = "OwnSettings"
        Effect   = "Allow"
        Action   = "glue:GetSecurityConfiguration"
        Resource = "*" # Glue knows no ARN of a security configuration
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${local.logs_arn}:${local.crawler_logs}:log-stream:*"
      },
      {
        Sid      = "LogEncrypted"
        Effect   = "Allow"
        Action   = "logs:AssociateKmsKey"
        Resource = "${local.logs_arn}:${local.crawler_logs}"
      },
    ],
  )
}

resource "aws_glue_catalog_database" "this" {
  name        = local.glue_database
  description = "What ${local.name} publishes, as Athena queries it"
}

resource "aws_glue_catalog_table" "this" {
  for_each = local.tables

  database_name = aws_glue_catalog_database.this.name
  name          = each.key
  description   = each.value.description
  table_type    = "EXTERNAL_TABLE"
  parameters    = { EXTERNAL = "TRUE", classification = "parquet" }

  storage_descriptor {
    location      = local.table_locations[each.key]
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    dynamic "columns" {
      for_each = each.value.columns

      content {
        name    = columns.value.name
        type    = columns.value.type
        comment = columns.value.comment
      }
    }
  }

  dynamic "partition_keys" {
    for_each = each.value.partition_keys

    content {
      name    = partition_keys.value.name
      type    = partition_keys.value.type
      comment = partition_keys.value.comment
    }
  }

  lifecycle {
    # Glue writes figures about what it crawled here; columns, location and partition keys stay Terraform's.
    ignore_changes = [parameters, storage_descriptor[0].parameters]
  }
}

resource "aws_glue_security_configuration" "this" {
  name = local.name

  encryption_configuration {
    cloudwatch_encryption {
      cloudwatch_encryption_mode = "SSE-KMS"
      kms_key_arn                = aws_kms_key.platform.arn
    }

    # For jobs that write; crawlers do not.
    job_bookmarks_encryption {
      job_bookmarks_encryption_mode = "CSE-KMS"
      kms_key_arn                   = aws_kms_key.data.arn
    }

    s3_encryption {
      s3_encryption_mode = "SSE-KMS"
      kms_key_arn        = aws_kms_key.data.arn
    }
  }
}

# Glue names a crawler's log group after its role and security configuration.
resource "aws_cloudwatch_log_group" "crawlers" {
  #checkov:skip=CKV_AWS_338:How long is log_retention_days: a year in prod.tfvars, less where nobody asks for a year.
  name              = local.crawler_logs
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.platform.arn
}

resource "aws_iam_role" "crawler" {
  name        = local.crawler_role
  description = "Taken by the crawlers of ${local.glue_database}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "glue.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "crawler" {
  name   = "crawl"
  role   = aws_iam_role.crawler.name
  policy = jsonencode({ Version = "2012-10-17", Statement = local.crawler_policy })
}

resource "aws_glue_crawler" "this" {
  for_each = local.crawlers

  name                   = each.value
  description            = "Adds the days of ${each.key}; started by the pipeline's sensor"
  database_name          = aws_glue_catalog_database.this.name
  role                   = aws_iam_role.crawler.arn
  security_configuration = aws_glue_security_configuration.this.name
  tags                   = { asset = each.key }

  catalog_target {
    database_name = aws_glue_catalog_database.this.name
    tables        = [aws_glue_catalog_table.this[each.key].name]
  }

  # Add-only: differences in columns are logged, nothing is changed or removed.
  schema_change_policy {
    update_behavior = "LOG"
    delete_behavior = "LOG"
  }

  recrawl_policy {
    recrawl_behavior = "CRAWL_EVERYTHING"
  }

  configuration = jsonencode({
    Version              = 1
    CreatePartitionIndex = false
    CrawlerOutput        = { Partitions = { AddOrUpdateBehavior = "InheritFromTable" } }
    Grouping             = { TableGroupingPolicy = "CombineCompatibleSchemas" }
  })

  # A crawl is refused while its role lacks the policy.
  depends_on = [aws_iam_role_policy.crawler, aws_cloudwatch_log_group.crawlers]
}
