# Applies everything to mocks, so that every policy is rendered in full; pit_pipeline_tests/terraform reads the state
# from `terraform test -json -verbose` and asks the policies what they allow.

mock_provider "aws" {
  source = "./tests/mocks"

  override_resource {
    target = aws_kms_key.data
    values = { arn = "arn:aws:kms:us-east-2:111122223333:key/da7a" }
  }
  override_resource {
    target = aws_kms_key.platform
    values = { arn = "arn:aws:kms:us-east-2:111122223333:key/91a7" }
  }
}

mock_provider "helm" {}

variables {
  environment        = "test"
  region             = "us-east-2"
  availability_zones = ["us-east-2a", "us-east-2b"]
  cluster_admin_arns = ["arn:aws:iam::111122223333:role/terraform"]
  alarm_emails       = ["data@example.com"]
  monthly_budget_usd = 500
  producer_arns      = ["arn:aws:iam::444455556666:role/till"]
  analyst_arns       = ["arn:aws:iam::111122223333:role/analytics"]
  web_shop_arns      = ["arn:aws:iam::444455556666:role/shop"]
  ci                 = { issuer = "token.actions.githubusercontent.com", subjects = ["repo:example/pit-pipeline:ref:refs/heads/main"] }
  protect_data       = false # or the tests' own clean-up would be refused
}

run "rendered" {
  command = apply

  assert {
    condition     = length(aws_iam_role_policy.workload) == 3
    error_message = "there is a policy per workload"
  }
}
