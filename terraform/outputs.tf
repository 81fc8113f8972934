# What the chart and the pipeline need, under the names they use. `make helm-values` prints helm_values as a values file.

locals {
  settings = {
    PIT_LANDING_URI      = "s3a://${local.bucket_names["landing"]}"
    PIT_PROCESSING_URI   = "s3a://${local.bucket_names["processing"]}"
    PIT_CONSUMER_URI     = "s3a://${local.bucket_names["consumer"]}"
    PIT_AWS_REGION       = var.region
    PIT_GLUE_DATABASE    = aws_glue_catalog_database.this.name
    PIT_ATHENA_WORKGROUP = aws_athena_workgroup.this.name
  }

  helm_values = {
    settings = local.settings
    postgres = {
      host     = aws_db_instance.this.address
      port     = local.database.port
      database = local.database.name
      user     = local.database.user
      # The Secret that the add-on fills from Secrets Manager, out of the JSON key `password`.
      secretName        = "pit-pipeline-postgres"
      secretsManagerArn = local.database_secret_arn
    }
    computeLogs = {
      bucket = local.bucket_names["logs"]
      prefix = "compute-logs"
      region = var.region
    }
    image           = { repository = aws_ecr_repository.this.repository_url }
    serviceAccounts = local.service_accounts
    nodePools       = local.node_pools
    executorTaint   = local.executor_taint
    ingressClass    = "alb"
  }
}

output "settings" {
  description = "The pipeline's settings for this deployment, as environment variables."
  value       = local.settings
}

output "helm_values" {
  description = "Values for the chart, as YAML: terraform output -raw helm_values."
  value       = yamlencode(local.helm_values)
}

output "configure_kubectl" {
  description = "The command that lets kubectl and helm reach the cluster."
  value       = "aws eks update-kubeconfig --region ${var.region} --name ${aws_eks_cluster.this.name}"
}

output "namespace" {
  description = "The Kubernetes namespace to install the chart in; Pod Identity knows no other."
  value       = local.namespace
}

output "image_repository" {
  description = "Where the image is pushed."
  value       = aws_ecr_repository.this.repository_url
}

output "ci_role_arn" {
  description = "The role by which CI pushes images; null without var.ci."
  value       = one([for role in aws_iam_role.ci : role.arn])
}

output "guest_role_arns" {
  description = "The roles of the producer, analysts and web shop, as far as somebody may take them."
  value       = { for guest, role in aws_iam_role.guest : guest => role.arn }
}
