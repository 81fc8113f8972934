mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

run "alarms" {
  variables {
    alarm_emails = ["data@example.com", "night@example.com"]
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == aws_kms_key.platform.arn
    error_message = "alarms are encrypted"
  }
  assert {
    condition     = toset([for s in aws_sns_topic_subscription.alarms : s.endpoint]) == var.alarm_emails && toset([for s in aws_sns_topic_subscription.billing : s.endpoint]) == var.alarm_emails && alltrue([for s in concat(values(aws_sns_topic_subscription.alarms), values(aws_sns_topic_subscription.billing)) : s.protocol == "email"])
    error_message = "everybody named hears alarms and the bill"
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.failed_crawl.event_pattern).detail.state == ["Failed"] && toset(jsondecode(aws_cloudwatch_event_rule.failed_crawl.event_pattern).detail.crawlerName) == toset([for c in aws_glue_crawler.this : c.name]) && jsondecode(aws_cloudwatch_event_rule.failed_crawl.event_pattern).source == ["aws.glue"] && jsondecode(aws_cloudwatch_event_rule.failed_crawl.event_pattern).detail-type == ["Glue Crawler State Change"]
    error_message = "a failed crawl of any table is an alarm"
  }
  assert {
    condition     = aws_cloudwatch_event_target.failed_crawl.arn == aws_sns_topic.alarms.arn && aws_cloudwatch_event_target.failed_crawl.rule == aws_cloudwatch_event_rule.failed_crawl.name
    error_message = "failed crawls are told"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.database_storage.metric_name == "FreeStorageSpace" && aws_cloudwatch_metric_alarm.database_storage.dimensions["DBInstanceIdentifier"] == aws_db_instance.this.identifier && aws_cloudwatch_metric_alarm.database_storage.threshold == 5368709120 && aws_cloudwatch_metric_alarm.database_storage.comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.database_storage.treat_missing_data == "breaching"
    error_message = "a database that fills up, or is silent, is an alarm"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.nodes.namespace == "AWS/EKS" && aws_cloudwatch_metric_alarm.nodes.metric_name == "scheduler_pending_pods_UNSCHEDULABLE" && aws_cloudwatch_metric_alarm.nodes.dimensions["ClusterName"] == aws_eks_cluster.this.name && aws_cloudwatch_metric_alarm.nodes.statistic == "Minimum" && aws_cloudwatch_metric_alarm.nodes.period * aws_cloudwatch_metric_alarm.nodes.evaluation_periods == 900 && aws_cloudwatch_metric_alarm.nodes.comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.nodes.threshold == 0
    error_message = "pods that wait a quarter of an hour for a node are an alarm"
  }
  assert {
    condition     = alltrue([for a in [aws_cloudwatch_metric_alarm.database_storage, aws_cloudwatch_metric_alarm.nodes] : a.alarm_actions == toset([aws_sns_topic.alarms.arn])])
    error_message = "alarms go to the topic"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.billing.region == "us-east-1" && aws_sns_topic.billing.region == "us-east-1" && aws_cloudwatch_metric_alarm.billing.threshold == 500 && aws_cloudwatch_metric_alarm.billing.metric_name == "EstimatedCharges" && aws_cloudwatch_metric_alarm.billing.alarm_actions == toset([aws_sns_topic.billing.arn])
    error_message = "a bill above the budget is an alarm, where AWS keeps the bill"
  }
  assert {
    condition     = aws_budgets_budget.this.limit_amount == "500" && { for n in aws_budgets_budget.this.notification : n.notification_type => n.threshold } == { ACTUAL = 80, FORECASTED = 100 } && alltrue([for n in aws_budgets_budget.this.notification : n.subscriber_sns_topic_arns == toset([aws_sns_topic.alarms.arn])])
    error_message = "the budget tells at 80 % spent and when the forecast passes it"
  }
}
