# Roles of people and systems outside the cluster. Each is there only if somebody is named who may take it.

locals {
  guests = {
    for guest, arns in { producer = var.producer_arns, analyst = var.analyst_arns, web-shop = var.web_shop_arns } :
    guest => sort(arns) if length(arns) > 0
  }

  # Puts files, in parts too, and reads nothing. KMS asks for Decrypt to put an object's later parts.
  producer_policy = [
    {
      Sid      = "Land"
      Effect   = "Allow"
      Action   = ["s3:PutObject", "s3:AbortMultipartUpload"]
      Resource = "${local.bucket_arns["landing"]}/visits/visit_date=*/*"
    },
    {
      Sid       = "DataKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = aws_kms_key.data.arn
      Condition = local.data_key_by_s3
    },
  ]

  analyst_zones = toset([for table in var.analyst_tables : local.tables[table].zone])

  analyst_policy = concat(
    [
      {
        Sid    = "Query"
        Effect = "Allow"
        Action = [
          "athena:BatchGetNamedQuery", "athena:BatchGetQueryExecution", "athena:GetNamedQuery",
          "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetQueryResultsStream",
          "athena:GetQueryRuntimeStatistics", "athena:GetWorkGroup", "athena:ListNamedQueries",
          "athena:ListQueryExecutions", "athena:StartQueryExecution", "athena:StopQueryExecution",
        ]
        Resource = local.workgroup_arn
      },
      {
        # What the console's left pane asks for; a list of workgroups cannot be narrowed to one.
        Sid      = "FindWorkgroup"
        Effect   = "Allow"
        Action   = ["athena:ListDataCatalogs", "athena:ListWorkGroups"]
        Resource = "*"
      },
      {
        Sid      = "BrowseCatalog"
        Effect   = "Allow"
        Action   = ["athena:GetDataCatalog", "athena:GetDatabase", "athena:GetTableMetadata", "athena:ListDatabases", "athena:ListTableMetadata"]
        Resource = "arn:${local.partition}:athena:${var.region}:${local.account}:datacatalog/AwsDataCatalog"
      },
      {
        Sid      = "SeeTables"
        Effect   = "Allow"
        Action   = ["glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions", "glue:BatchGetPartition", "glue:GetTable", "glue:GetTables"]
        Resource = concat(local.catalog_arns, [for table in sort(var.analyst_tables) : "${local.glue_arn}:table/${local.glue_database}/${table}"])
      },
      {
        Sid      = "ReadTables"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = [for table in sort(var.analyst_tables) : "${local.bucket_arns[local.tables[table].zone]}/${table}/*"]
      },
    ],
    [for zone in sort(local.analyst_zones) : {
      Sid       = "List${title(zone)}"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = local.bucket_arns[zone]
      Condition = { StringLike = { "s3:prefix" = [for table in sort(var.analyst_tables) : "${table}/*" if local.tables[table].zone == zone] } }
    }],
    [
      {
        Sid      = "Results"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
        Resource = "${local.bucket_arns["athena-results"]}/results/*"
      },
      {
        Sid      = "ResultsBucket"
        Effect   = "Allow"
        Action   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = local.bucket_arns["athena-results"]
      },
      {
        Sid       = "DataKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = aws_kms_key.data.arn
        Condition = { StringEquals = { "kms:ViaService" = ["athena.${var.region}.amazonaws.com", "s3.${var.region}.amazonaws.com"] } }
      },
    ],
  )

  web_shop_policy = [
    {
      Sid      = "ReadRecommendations"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "${local.bucket_arns["consumer"]}/recommendations/*"
    },
    {
      Sid       = "ListRecommendations"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = local.bucket_arns["consumer"]
      Condition = { StringLike = { "s3:prefix" = ["recommendations/*"] } }
    },
    {
      Sid       = "DataKey"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = aws_kms_key.data.arn
      Condition = local.data_key_by_s3
    },
  ]

  guest_policies = {
    producer = jsonencode({ Version = "2012-10-17", Statement = local.producer_policy })
    analyst  = jsonencode({ Version = "2012-10-17", Statement = local.analyst_policy })
    web-shop = jsonencode({ Version = "2012-10-17", Statement = local.web_shop_policy })
  }
}

resource "aws_iam_role" "guest" {
  for_each = local.guests

  name        = "${local.name}-${each.key}"
  description = "Taken by the principals named in ${replace(each.key, "-", "_")}_arns"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { AWS = each.value }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "guest" {
  for_each = local.guests

  name   = "work"
  role   = aws_iam_role.guest[each.key].name
  policy = local.guest_policies[each.key]
}
