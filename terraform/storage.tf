# Five buckets: three zones, logs, and Athena's results. All private, encrypted, reached by TLS alone.

locals {
  # Landing is what cannot be made again: an overwritten or deleted file stays for a while. Everything else is made
  # from it, and versions of staged files would only cost.
  versioned = toset(["landing"])

  # S3 delivers its access logs only into a bucket encrypted by S3's own keys.
  encrypted_by_kms = toset(["landing", "processing", "consumer", "athena-results"])

  lifecycle = {
    landing = [
      { id = "visits-to-infrequent-access", prefix = "visits/", infrequent_after = var.infrequent_access_days },
      { id = "old-versions", prefix = "", noncurrent_after = var.noncurrent_retention_days },
    ]
    processing = concat(
      [for table in local.table_prefixes["processing"] : { id = "${table}-to-infrequent-access", prefix = "${table}/", infrequent_after = var.infrequent_access_days }],
      local.service_lifecycle,
    )
    consumer = concat(
      [for table in local.table_prefixes["consumer"] : { id = "${table}-to-infrequent-access", prefix = "${table}/", infrequent_after = var.infrequent_access_days }],
      local.service_lifecycle,
    )
    logs = [for prefix in ["compute-logs/", "s3-access/", "vpc-flow-logs/"] :
      { id = "${trimsuffix(prefix, "/")}-expire", prefix = prefix, expire_after = var.log_retention_days }
    ]
    athena-results = [{ id = "results-expire", prefix = "", expire_after = var.query_result_retention_days }]
  }

  # What runs that never came back have left; a live run stages for hours, not days.
  service_lifecycle = [
    { id = "staging-expire", prefix = "_staging/", expire_after = 2 },
    { id = "failed-expire", prefix = "_failed/", expire_after = var.failed_retention_days },
  ]
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV2_AWS_62:The landing sensor lists; nobody listens to events.
  #checkov:skip=CKV_AWS_144:One region; what cannot be made again is kept in versions.
  #checkov:skip=CKV_AWS_21:Landing has versions, see local.versioned; the rest is made from it, and versions of staged files would only cost.
  for_each = local.bucket_names

  bucket        = each.value
  force_destroy = !var.protect_data
  tags          = { bucket = each.key }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.bucket_names

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.bucket_names

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.bucket_names

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    bucket_key_enabled = contains(local.encrypted_by_kms, each.key)

    apply_server_side_encryption_by_default {
      sse_algorithm     = contains(local.encrypted_by_kms, each.key) ? "aws:kms" : "AES256"
      kms_master_key_id = contains(local.encrypted_by_kms, each.key) ? aws_kms_key.data.arn : null
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.versioned

  bucket = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.lifecycle

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "abort-incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  dynamic "rule" {
    for_each = each.value

    content {
      id     = rule.value.id
      status = "Enabled"

      filter {
        prefix = rule.value.prefix
      }

      dynamic "transition" {
        for_each = try([rule.value.infrequent_after], [])

        content {
          days          = transition.value
          storage_class = "STANDARD_IA"
        }
      }

      dynamic "expiration" {
        for_each = try([rule.value.expire_after], [])

        content {
          days = expiration.value
        }
      }

      dynamic "noncurrent_version_expiration" {
        for_each = try([rule.value.noncurrent_after], [])

        content {
          noncurrent_days = noncurrent_version_expiration.value
        }
      }
    }
  }

  # AWS takes a rule on noncurrent versions only once the bucket keeps them.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_logging" "this" {
  for_each = { for bucket, name in local.bucket_names : bucket => name if bucket != "logs" }

  bucket        = aws_s3_bucket.this[each.key].id
  target_bucket = aws_s3_bucket.this["logs"].id
  target_prefix = "s3-access/${each.key}/"
  depends_on    = [aws_s3_bucket_policy.this]
}
