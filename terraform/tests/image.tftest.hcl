mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

run "repository" {
  variables {
    image_count = 4
  }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE"
    error_message = "a tag always names the same image"
  }
  assert {
    condition     = aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "images are scanned when pushed"
  }
  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].encryption_type == "KMS" && aws_ecr_repository.this.encryption_configuration[0].kms_key == aws_kms_key.platform.arn
    error_message = "images are encrypted by the platform's key"
  }
  assert {
    condition     = { for r in jsondecode(aws_ecr_lifecycle_policy.this.policy).rules : r.selection.tagStatus => r.selection.countNumber } == { untagged = 7, tagged = 4 }
    error_message = "untagged images go after a week, and all but the newest releases"
  }
  assert {
    condition     = length(aws_iam_role.ci) == 0 && length(aws_iam_openid_connect_provider.ci) == 0
    error_message = "without a CI there is no role for it"
  }
}

run "pushed_by_ci" {
  variables {
    ci = { issuer = "token.actions.githubusercontent.com", subjects = ["repo:example/pit-pipeline:ref:refs/heads/main"], create_provider = false }
  }

  assert {
    condition     = length(aws_iam_role.ci) == 1 && length(aws_iam_openid_connect_provider.ci) == 0
    error_message = "an account's issuer is not made twice"
  }
}
