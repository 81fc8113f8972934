# What AWS would answer, well-formed. One answer serves every instance of a type.

mock_data "aws_caller_identity" {
  defaults = { account_id = "111122223333", arn = "arn:aws:sts::111122223333:assumed-role/terraform/session" }
}
mock_data "aws_iam_session_context" {
  defaults = { issuer_arn = "arn:aws:iam::111122223333:role/terraform" }
}
mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::111122223333:role/mock" }
}
mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:us-east-2:111122223333:mock" }
}
mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:us-east-2:111122223333:log-group:mock" }
}
mock_resource "aws_ecr_repository" {
  defaults = { repository_url = "111122223333.dkr.ecr.us-east-2.amazonaws.com/pit-pipeline-test" }
}
mock_resource "aws_eks_cluster" {
  defaults = {
    endpoint              = "https://mock.gr7.us-east-2.eks.amazonaws.com"
    certificate_authority = [{ data = "bW9jaw==" }]
  }
}
mock_resource "aws_db_instance" {
  defaults = {
    address = "pit-pipeline-test.mock.us-east-2.rds.amazonaws.com"
    master_user_secret = [{
      kms_key_id    = "arn:aws:kms:us-east-2:111122223333:key/00000000-0000-4000-8000-000000000000"
      secret_arn    = "arn:aws:secretsmanager:us-east-2:111122223333:secret:rds!db-mock-AbCdEf"
      secret_status = "active"
    }]
  }
}

# Told apart, because policies name them.
override_resource {
  target = aws_kms_key.data
  values = { arn = "arn:aws:kms:us-east-2:111122223333:key/da7a" }
}
override_resource {
  target = aws_kms_key.platform
  values = { arn = "arn:aws:kms:us-east-2:111122223333:key/91a7" }
}
override_resource {
  target = aws_iam_role.workload["platform"]
  values = { arn = "arn:aws:iam::111122223333:role/platform" }
}
override_resource {
  target = aws_iam_role.workload["step"]
  values = { arn = "arn:aws:iam::111122223333:role/step" }
}
override_resource {
  target = aws_iam_role.workload["executor"]
  values = { arn = "arn:aws:iam::111122223333:role/executor" }
}
