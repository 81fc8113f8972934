mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

# Plans alone: the clean-up after an apply would be refused, which is what protection is for.
run "protected" {
  command = plan

  variables {
    protect_data = true
  }

  assert {
    condition     = aws_db_instance.this.deletion_protection && aws_db_instance.this.skip_final_snapshot == false && aws_db_instance.this.final_snapshot_identifier == "pit-pipeline-test-final" && aws_db_instance.this.delete_automated_backups == false
    error_message = "RDS refuses to delete the database, and keeps its backups"
  }
  assert {
    condition     = aws_eks_cluster.this.deletion_protection
    error_message = "EKS refuses to delete the cluster"
  }
  assert {
    condition     = alltrue([for b in aws_s3_bucket.this : b.force_destroy == false]) && aws_ecr_repository.this.force_delete == false && aws_athena_workgroup.this.force_destroy == false
    error_message = "what is not empty is not deleted"
  }
  assert {
    condition     = aws_kms_key.data.deletion_window_in_days == 30 && aws_kms_key.platform.deletion_window_in_days == 30
    error_message = "keys can be brought back for 30 days"
  }
  assert {
    condition     = terraform_data.protect.input.protect_data
    error_message = "the guard knows that it guards"
  }
}

run "given_up" {
  command = plan

  variables {
    protect_data = false
  }

  assert {
    condition     = aws_db_instance.this.deletion_protection == false && aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.final_snapshot_identifier == null && aws_db_instance.this.delete_automated_backups
    error_message = "the database goes with its backups: nothing billable stays"
  }
  assert {
    condition     = aws_eks_cluster.this.deletion_protection == false && alltrue([for b in aws_s3_bucket.this : b.force_destroy]) && aws_ecr_repository.this.force_delete && aws_athena_workgroup.this.force_destroy
    error_message = "cluster, buckets, images and query history go"
  }
  assert {
    condition     = terraform_data.protect.input.protect_data == false
    error_message = "the guard lets destroy pass"
  }
}
