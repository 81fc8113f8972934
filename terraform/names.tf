# Names and ARNs. ARNs are built from names wherever AWS allows it, so that a plan shows every policy in full.

locals {
  name      = "${var.name}-${var.environment}"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  root      = "arn:${local.partition}:iam::${local.account}:root"

  tags = merge(var.tags, {
    project     = var.name
    environment = var.environment
    managed-by  = "terraform"
  })

  # What the pipeline's table registry exports: columns are described there and nowhere else.
  tables = jsondecode(file("${path.module}/tables.json"))

  glue_database    = replace(local.name, "-", "_")
  athena_workgroup = local.name
  crawlers         = { for table in keys(local.tables) : table => "${local.glue_database}-${table}" }

  bucket_names = { for bucket in ["landing", "processing", "consumer", "logs", "athena-results"] :
    bucket => "${local.name}-${local.account}-${var.region}-${bucket}"
  }
  bucket_arns = { for bucket, name in local.bucket_names : bucket => "arn:${local.partition}:s3:::${name}" }

  # Prefixes of the zones, as the pipeline lays them out.
  table_prefixes = { for zone in ["processing", "consumer"] :
    zone => sort([for name, table in local.tables : name if table.zone == zone])
  }
  service_prefixes = ["_staging", "_manifests", "_failed"]

  cluster_arn   = "arn:${local.partition}:eks:${var.region}:${local.account}:cluster/${local.name}"
  glue_arn      = "arn:${local.partition}:glue:${var.region}:${local.account}"
  workgroup_arn = "arn:${local.partition}:athena:${var.region}:${local.account}:workgroup/${local.athena_workgroup}"
  logs_arn      = "arn:${local.partition}:logs:${var.region}:${local.account}:log-group"

  namespace = "pit-pipeline"
  service_accounts = {
    platform = "pit-pipeline-platform"
    step     = "pit-pipeline-step"
    executor = "pit-pipeline-executor"
  }
}
