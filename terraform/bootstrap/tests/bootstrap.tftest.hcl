mock_provider "aws" {
  source = "../tests/mocks"
}

variables {
  region = "us-east-2"
}

run "state" {
  assert {
    condition     = aws_s3_bucket.state.bucket == "pit-pipeline-111122223333-us-east-2-tfstate" && aws_s3_bucket.state.force_destroy == false
    error_message = "the bucket is named after account and region, and stays while it holds state"
  }
  assert {
    condition     = one(aws_s3_bucket_versioning.state.versioning_configuration).status == "Enabled"
    error_message = "an older state can be brought back"
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    error_message = "the state is encrypted"
  }
  assert {
    condition     = aws_s3_bucket_public_access_block.state.block_public_acls && aws_s3_bucket_public_access_block.state.block_public_policy && aws_s3_bucket_public_access_block.state.ignore_public_acls && aws_s3_bucket_public_access_block.state.restrict_public_buckets && one(aws_s3_bucket_ownership_controls.state.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "the state is private"
  }
  assert {
    condition     = [for s in jsondecode(aws_s3_bucket_policy.state.policy).Statement : "${s.Effect} ${jsonencode(s.Condition)}"] == ["Deny {\"Bool\":{\"aws:SecureTransport\":\"false\"}}", "Deny {\"NumericLessThan\":{\"s3:TlsVersion\":\"1.2\"}}"] && alltrue([for s in jsondecode(aws_s3_bucket_policy.state.policy).Statement : s.Principal == "*" && s.Action == "s3:*" && contains(s.Resource, "arn:aws:s3:::pit-pipeline-111122223333-us-east-2-tfstate/*")])
    error_message = "the state is reached by TLS 1.2 or later alone"
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.state.rule[0].noncurrent_version_expiration[0].newer_noncurrent_versions == 20 && aws_s3_bucket_lifecycle_configuration.state.rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 2
    error_message = "old states go in time, but never the last twenty"
  }
  assert {
    condition     = output.backend == "bucket = \"pit-pipeline-111122223333-us-east-2-tfstate\"\nregion = \"us-east-2\"\n"
    error_message = "the backend's settings need no copying"
  }
}
