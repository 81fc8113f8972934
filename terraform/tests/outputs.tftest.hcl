mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

run "outputs" {
  variables {
    tags = { owner = "data" }
  }

  assert {
    condition = output.settings == {
      PIT_LANDING_URI      = "s3a://pit-pipeline-test-111122223333-us-east-2-landing"
      PIT_PROCESSING_URI   = "s3a://pit-pipeline-test-111122223333-us-east-2-processing"
      PIT_CONSUMER_URI     = "s3a://pit-pipeline-test-111122223333-us-east-2-consumer"
      PIT_AWS_REGION       = "us-east-2"
      PIT_GLUE_DATABASE    = "pit_pipeline_test"
      PIT_ATHENA_WORKGROUP = "pit-pipeline-test"
    }
    error_message = "the settings are those of this deployment"
  }
  assert {
    condition     = yamldecode(output.helm_values).settings == output.settings
    error_message = "the chart's values hold the settings"
  }
  assert {
    condition = yamldecode(output.helm_values).postgres == {
      host              = aws_db_instance.this.address
      port              = aws_db_instance.this.port
      database          = aws_db_instance.this.db_name
      user              = aws_db_instance.this.username
      secretName        = "pit-pipeline-postgres"
      secretsManagerArn = aws_db_instance.this.master_user_secret[0].secret_arn
    }
    error_message = "the chart's values tell where the database is and where its password"
  }
  assert {
    condition     = yamldecode(output.helm_values).computeLogs == { bucket = aws_s3_bucket.this["logs"].bucket, prefix = "compute-logs", region = "us-east-2" } && yamldecode(output.helm_values).image.repository == aws_ecr_repository.this.repository_url
    error_message = "the chart's values tell where logs go and where the image is"
  }
  assert {
    condition     = { for w, a in aws_eks_pod_identity_association.workload : w => a.service_account } == yamldecode(output.helm_values).serviceAccounts && alltrue([for a in aws_eks_pod_identity_association.workload : a.namespace == output.namespace && a.cluster_name == aws_eks_cluster.this.name])
    error_message = "the chart's service accounts are those that have roles, in the namespace that has them"
  }
  assert {
    condition     = { for w, a in aws_eks_pod_identity_association.workload : w => a.role_arn } == { platform = "arn:aws:iam::111122223333:role/platform", step = "arn:aws:iam::111122223333:role/step", executor = "arn:aws:iam::111122223333:role/executor" }
    error_message = "each service account has its own role"
  }
  assert {
    condition     = yamldecode(output.helm_values).nodePools == { platform = "platform", executors = "executors" } && yamldecode(output.helm_values).executorTaint == { key = "pit-pipeline/executors", value = "true", effect = "NoSchedule" }
    error_message = "the chart's values tell where to run what"
  }
  assert {
    condition     = output.configure_kubectl == "aws eks update-kubeconfig --region us-east-2 --name pit-pipeline-test"
    error_message = "kubectl is set up by one command"
  }
  assert {
    condition     = output.ci_role_arn == null && length(output.guest_role_arns) == 0
    error_message = "nobody outside the cluster has a role unless named"
  }
  assert {
    condition     = local.tags == { owner = "data", project = "pit-pipeline", environment = "test", managed-by = "terraform" } && aws_s3_bucket.this["landing"].tags["bucket"] == "landing"
    error_message = "cost reports tell project, environment and bucket apart"
  }
}
