# Refuses `terraform destroy` before anything is gone. Preconditions are not looked at while destroying, and
# prevent_destroy takes no variable; a provisioner of a resource that depends on all others runs first of all, and when
# it fails, nothing it depends on is touched. It reads what was applied last: apply protect_data = false, then destroy.
#
# Where this is passed by (destroy -target, a console), the services refuse themselves: deletion protection of the
# database and the cluster, buckets and repositories that are not empty.

resource "terraform_data" "protect" {
  input = {
    protect_data = var.protect_data
    message      = "protect_data is true: destroying ${local.name} would lose its zones, its database and their backups. To do so nevertheless: terraform apply -var protect_data=false, then terraform destroy."
  }

  provisioner "local-exec" {
    when    = destroy
    command = self.input.protect_data ? "echo \"$MESSAGE\" >&2; exit 1" : "true"
    environment = {
      MESSAGE = self.input.message
    }
  }

  # Every resource that no other depends on; a test follows the rest from here.
  depends_on = [
    aws_athena_named_query.this,
    aws_budgets_budget.this,
    aws_cloudwatch_event_target.failed_crawl,
    aws_cloudwatch_metric_alarm.billing,
    aws_cloudwatch_metric_alarm.database_storage,
    aws_cloudwatch_metric_alarm.nodes,
    aws_default_security_group.this,
    aws_ecr_lifecycle_policy.this,
    aws_eks_access_policy_association.viewer,
    aws_eks_addon.secrets,
    aws_eks_pod_identity_association.workload,
    aws_flow_log.this,
    aws_glue_crawler.this,
    aws_iam_role_policy.ci,
    aws_iam_role_policy.guest,
    aws_iam_role_policy.workload,
    aws_kms_alias.data,
    aws_kms_alias.platform,
    aws_route.internet,
    aws_route_table_association.database,
    aws_route_table_association.public,
    aws_s3_bucket_lifecycle_configuration.this,
    aws_s3_bucket_logging.this,
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_secretsmanager_secret_rotation.database,
    aws_sns_topic_subscription.alarms,
    aws_sns_topic_subscription.billing,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_ingress_rule.database,
    aws_vpc_security_group_ingress_rule.endpoints,
  ]
}
