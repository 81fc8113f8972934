# The three roles that pods take by Pod Identity: no keys, no OIDC provider, one role per service account.
#
#   platform  webserver, daemon, code location: sees what has landed, starts crawlers, keeps compute logs
#   step      a step's pod, the Spark driver: reads landing, publishes days
#   executor  Spark's executors: read the zones, write staged files
#
# S3A asks for objects that may not be there; without leave to list, S3 answers such a question with 403 instead of
# 404, and a leave bound to a prefix does not count then. So drivers and executors list whole buckets (names alone), and
# may ask whether a table's root is an object.

locals {
  pod_trust = { for workload, service_account in local.service_accounts : workload => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:SourceAccount"                         = local.account
          "aws:RequestTag/kubernetes-namespace"       = local.namespace
          "aws:RequestTag/kubernetes-service-account" = service_account
        }
        ArnEquals = { "aws:SourceArn" = local.cluster_arn }
      }
    }]
  }) }

  # Every object of a zone that the pipeline owns, by prefix.
  zone_objects = { for zone, tables in local.table_prefixes :
    zone => [for prefix in concat(tables, local.service_prefixes) : "${local.bucket_arns[zone]}/${prefix}/*"]
  }
  table_objects   = flatten([for zone, tables in local.table_prefixes : [for table in tables : "${local.bucket_arns[zone]}/${table}/*"]])
  table_roots     = flatten([for zone, tables in local.table_prefixes : [for table in tables : "${local.bucket_arns[zone]}/${table}"]])
  staging_objects = [for zone in ["processing", "consumer"] : "${local.bucket_arns[zone]}/_staging/*"]

  write_objects = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]

  # The data key, for objects only.
  data_key_by_s3 = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }

  # What steps and executors have in common.
  list_zones = {
    Sid      = "List"
    Effect   = "Allow"
    Action   = "s3:ListBucket"
    Resource = [for zone in ["landing", "processing", "consumer"] : local.bucket_arns[zone]]
  }
  use_data_key = {
    Sid       = "DataKey"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = aws_kms_key.data.arn
    Condition = local.data_key_by_s3
  }

  platform_policy = [
    {
      Sid       = "SeeWhatHasLanded"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = local.bucket_arns["landing"]
      Condition = { StringLike = { "s3:prefix" = ["visits/*"] } }
    },
    {
      Sid      = "KeepComputeLogs"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      Resource = "${local.bucket_arns["logs"]}/compute-logs/*"
    },
    {
      Sid       = "FindComputeLogs"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = local.bucket_arns["logs"]
      Condition = { StringLike = { "s3:prefix" = ["compute-logs/*"] } }
    },
    {
      Sid      = "Crawl"
      Effect   = "Allow"
      Action   = ["glue:GetCrawler", "glue:StartCrawler", "glue:StopCrawler"]
      Resource = [for crawler in values(local.crawlers) : "${local.glue_arn}:crawler/${crawler}"]
    },
    {
      Sid      = "SeeTheCatalog"
      Effect   = "Allow"
      Action   = ["glue:GetDatabase", "glue:GetTable", "glue:GetPartitions"]
      Resource = concat(local.catalog_arns, [for table in keys(local.tables) : "${local.glue_arn}:table/${local.glue_database}/${table}"])
    },
    {
      Sid      = "DatabasePassword"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
      Resource = local.database_secret_arn
    },
    {
      Sid       = "DatabasePasswordKey"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = aws_kms_key.platform.arn
      Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
    },
  ]

  step_policy = [
    local.list_zones,
    {
      Sid      = "SweepDeadUploads"
      Effect   = "Allow"
      Action   = "s3:ListBucketMultipartUploads"
      Resource = [for zone in ["processing", "consumer"] : local.bucket_arns[zone]]
    },
    {
      Sid      = "ReadLanding"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "${local.bucket_arns["landing"]}/visits/*"
    },
    {
      Sid      = "AskForTables"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = local.table_roots
    },
    {
      Sid      = "PublishDays"
      Effect   = "Allow"
      Action   = concat(["s3:GetObject"], local.write_objects)
      Resource = concat(local.zone_objects["processing"], local.zone_objects["consumer"])
    },
    {
      Sid      = "KeepComputeLogs"
      Effect   = "Allow"
      Action   = "s3:PutObject"
      Resource = "${local.bucket_arns["logs"]}/compute-logs/*"
    },
    local.use_data_key,
  ]

  executor_policy = [
    local.list_zones,
    {
      Sid      = "ReadZones"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = concat(["${local.bucket_arns["landing"]}/visits/*"], local.table_roots, local.table_objects)
    },
    {
      Sid      = "WriteStagedFiles"
      Effect   = "Allow"
      Action   = concat(["s3:GetObject"], local.write_objects)
      Resource = local.staging_objects
    },
    local.use_data_key,
  ]

  workload_policies = {
    platform = jsonencode({ Version = "2012-10-17", Statement = local.platform_policy })
    step     = jsonencode({ Version = "2012-10-17", Statement = local.step_policy })
    executor = jsonencode({ Version = "2012-10-17", Statement = local.executor_policy })
  }
}

resource "aws_iam_role" "workload" {
  for_each = local.service_accounts

  name               = "${local.name}-${each.key}"
  description        = "Taken by pods of the service account ${local.namespace}/${each.value}"
  assume_role_policy = local.pod_trust[each.key]
}

resource "aws_iam_role_policy" "workload" {
  for_each = local.service_accounts

  name   = "work"
  role   = aws_iam_role.workload[each.key].name
  policy = local.workload_policies[each.key]
}

resource "aws_eks_pod_identity_association" "workload" {
  for_each = local.service_accounts

  cluster_name    = aws_eks_cluster.this.name
  namespace       = local.namespace
  service_account = each.value
  role_arn        = aws_iam_role.workload[each.key].arn
}
