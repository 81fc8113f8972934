# What somebody must hear of. The pipeline's own failures (a bad day, a late one) are Dagster's to tell; here is what
# Dagster cannot see: failed crawls, the database filling up, nodes that do not come, money.

locals {
  alarm_services = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"]
}

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  kms_master_key_id = aws_kms_key.platform.arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = local.alarm_services }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = var.alarm_emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_cloudwatch_event_rule" "failed_crawl" {
  name        = "${local.name}-failed-crawl"
  description = "A crawler of ${local.glue_database} failed"
  event_pattern = jsonencode({
    source      = ["aws.glue"]
    detail-type = ["Glue Crawler State Change"]
    detail      = { crawlerName = values(local.crawlers), state = ["Failed"] }
  })
}

resource "aws_cloudwatch_event_target" "failed_crawl" {
  rule = aws_cloudwatch_event_rule.failed_crawl.name
  arn  = aws_sns_topic.alarms.arn

  input_transformer {
    input_paths    = { crawler = "$.detail.crawlerName", message = "$.detail.errorMessage" }
    input_template = "\"The crawler <crawler> failed: <message>. Its days are not in the catalog until a crawl succeeds.\""
  }
}

resource "aws_cloudwatch_metric_alarm" "database_storage" {
  alarm_name          = "${local.name}-database-storage"
  alarm_description   = "The database has less than 5 GB left: it grows by itself up to ${var.database_storage_gb.limit} GB, or Dagster's retention is too long."
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = { DBInstanceIdentifier = aws_db_instance.this.identifier }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "LessThanThreshold"
  threshold           = 5 * 1024 * 1024 * 1024
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# Auto Mode has no groups that would tell of a failed launch. Whatever the reason (no spot capacity, a quota, a pool's
# limit), pods then stay unschedulable, which EKS itself counts.
resource "aws_cloudwatch_metric_alarm" "nodes" {
  alarm_name          = "${local.name}-nodes"
  alarm_description   = "Pods have waited for a node for 15 minutes: kubectl get nodeclaims; kubectl get events -A --field-selector reason=FailedScheduling."
  namespace           = "AWS/EKS"
  metric_name         = "scheduler_pending_pods_UNSCHEDULABLE"
  dimensions          = { ClusterName = aws_eks_cluster.this.name }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_budgets_budget" "this" {
  name         = local.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  notification {
    comparison_operator       = "GREATER_THAN"
    notification_type         = "ACTUAL"
    threshold                 = 80
    threshold_type            = "PERCENTAGE"
    subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
  }

  notification {
    comparison_operator       = "GREATER_THAN"
    notification_type         = "FORECASTED"
    threshold                 = 100
    threshold_type            = "PERCENTAGE"
    subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
  }

  depends_on = [aws_sns_topic_policy.alarms]
}

# AWS keeps the bill's metric in us-east-1, and an alarm's topic must be where the alarm is.
resource "aws_sns_topic" "billing" {
  #checkov:skip=CKV_AWS_26:Its messages say that the bill passed the budget; a key of its own in us-east-1 would cost more than it hides.
  region = "us-east-1"
  name   = "${local.name}-billing"
}

resource "aws_sns_topic_subscription" "billing" {
  for_each = var.alarm_emails

  region    = "us-east-1"
  topic_arn = aws_sns_topic.billing.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_cloudwatch_metric_alarm" "billing" {
  region              = "us-east-1"
  alarm_name          = "${local.name}-billing"
  alarm_description   = "The account's bill of this month has passed the monthly budget of ${var.monthly_budget_usd} USD."
  namespace           = "AWS/Billing"
  metric_name         = "EstimatedCharges"
  dimensions          = { Currency = "USD" }
  statistic           = "Maximum"
  period              = 21600 # AWS updates the metric a few times a day
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.monthly_budget_usd
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.billing.arn]
}
