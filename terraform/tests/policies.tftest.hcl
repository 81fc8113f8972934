# Applies everything to mocks, so that every policy is rendered in full; the tests in pit_pipeline_tests/terraform read
# the state from `terraform test -json -verbose` and ask the policies what they allow.

mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

variables {
  producer_arns = ["arn:aws:iam::444455556666:role/till"]
  analyst_arns  = ["arn:aws:iam::111122223333:role/analytics"]
  web_shop_arns = ["arn:aws:iam::444455556666:role/shop"]
  ci            = { issuer = "token.actions.githubusercontent.com", subjects = ["repo:example/pit-pipeline:ref:refs/heads/main"] }
}

run "rendered" {
  command = apply

  assert {
    condition     = length(aws_iam_role_policy.workload) == 3
    error_message = "there is a policy per workload"
  }
}
