mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

run "buckets" {
  assert {
    condition     = keys(aws_s3_bucket.this) == ["athena-results", "consumer", "landing", "logs", "processing"]
    error_message = "there are five buckets"
  }
  assert {
    condition     = alltrue([for b in aws_s3_bucket.this : length(b.bucket) <= 63])
    error_message = "bucket names are not too long for S3"
  }
  assert {
    condition     = alltrue([for k in keys(aws_s3_bucket.this) : alltrue([for flag in [aws_s3_bucket_public_access_block.this[k].block_public_acls, aws_s3_bucket_public_access_block.this[k].block_public_policy, aws_s3_bucket_public_access_block.this[k].ignore_public_acls, aws_s3_bucket_public_access_block.this[k].restrict_public_buckets] : flag])])
    error_message = "public access is blocked in all four ways for every bucket"
  }
  assert {
    condition     = alltrue([for k in keys(aws_s3_bucket.this) : one(aws_s3_bucket_ownership_controls.this[k].rule).object_ownership == "BucketOwnerEnforced"])
    error_message = "ACLs are off: what others put belongs to the bucket's owner"
  }
  assert {
    condition = alltrue([for k in ["landing", "processing", "consumer", "athena-results"] :
      one(one(aws_s3_bucket_server_side_encryption_configuration.this[k].rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms" &&
      one(one(aws_s3_bucket_server_side_encryption_configuration.this[k].rule).apply_server_side_encryption_by_default).kms_master_key_id == aws_kms_key.data.arn &&
      one(aws_s3_bucket_server_side_encryption_configuration.this[k].rule).bucket_key_enabled
    ])
    error_message = "zones and query results are encrypted by the data key, with bucket keys"
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this["logs"].rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "S3 can deliver access logs only into a bucket encrypted by its own keys"
  }
  assert {
    condition     = keys(aws_s3_bucket_versioning.this) == ["landing"] && one(aws_s3_bucket_versioning.this["landing"].versioning_configuration).status == "Enabled"
    error_message = "landing keeps versions, and only landing"
  }
  assert {
    condition     = alltrue([for k, l in aws_s3_bucket_logging.this : l.target_bucket == aws_s3_bucket.this["logs"].id && l.target_prefix == "s3-access/${k}/"]) && keys(aws_s3_bucket_logging.this) == ["athena-results", "consumer", "landing", "processing"]
    error_message = "access to every bucket but the one of logs is logged there"
  }
  assert {
    condition     = aws_kms_key.data.enable_key_rotation && aws_kms_key.platform.enable_key_rotation
    error_message = "keys are rotated"
  }
}

run "lifecycle" {
  variables {
    failed_retention_days       = 11
    noncurrent_retention_days   = 22
    infrequent_access_days      = 133
    log_retention_days          = 60
    query_result_retention_days = 5
  }

  assert {
    condition = alltrue([for k in keys(aws_s3_bucket.this) :
      anytrue([for r in aws_s3_bucket_lifecycle_configuration.this[k].rule : try(r.abort_incomplete_multipart_upload[0].days_after_initiation == 2, false) && r.status == "Enabled"])
    ])
    error_message = "incomplete multipart uploads are removed after two days in every bucket"
  }
  assert {
    condition = alltrue([for k in ["processing", "consumer"] :
      { for r in aws_s3_bucket_lifecycle_configuration.this[k].rule : r.filter[0].prefix => r.expiration[0].days if length(r.expiration) > 0 } == { "_staging/" = 2, "_failed/" = 11 }
    ])
    error_message = "staged files expire after two days, rejects of failed days as set, and nothing else does"
  }
  assert {
    condition = alltrue([for k, tables in { landing = ["visits/"], processing = ["rejected_visits/", "visits/"], consumer = ["daily_metrics/", "recommendations/"] } :
      [for r in aws_s3_bucket_lifecycle_configuration.this[k].rule : r.filter[0].prefix if try(one(r.transition).days == 133 && one(r.transition).storage_class == "STANDARD_IA", false)] == tables
    ])
    error_message = "landed files and tables move to infrequent access, as set"
  }
  assert {
    condition     = alltrue([for r in aws_s3_bucket_lifecycle_configuration.this["landing"].rule : length(r.expiration) == 0])
    error_message = "what has landed never expires"
  }
  assert {
    condition     = [for r in aws_s3_bucket_lifecycle_configuration.this["landing"].rule : r.noncurrent_version_expiration[0].noncurrent_days if length(r.noncurrent_version_expiration) > 0] == [22]
    error_message = "overwritten landed files are kept as long as set"
  }
  assert {
    condition     = { for r in aws_s3_bucket_lifecycle_configuration.this["logs"].rule : r.filter[0].prefix => r.expiration[0].days if length(r.expiration) > 0 } == { "compute-logs/" = 60, "s3-access/" = 60, "vpc-flow-logs/" = 60 }
    error_message = "logs expire as set"
  }
  assert {
    condition     = [for r in aws_s3_bucket_lifecycle_configuration.this["athena-results"].rule : r.expiration[0].days if length(r.expiration) > 0] == [5]
    error_message = "query results expire as set"
  }
}
