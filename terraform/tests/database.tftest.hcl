mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

run "database" {
  variables {
    database_backup_days   = 9
    database_password_days = 33
  }

  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == aws_kms_key.platform.arn
    error_message = "the database is encrypted by the platform's key"
  }
  assert {
    condition     = aws_db_instance.this.publicly_accessible == false && aws_db_subnet_group.this.subnet_ids == toset([for s in aws_subnet.database : s.id])
    error_message = "the database is in the closed subnets"
  }
  assert {
    condition     = coalesce(aws_db_instance.this.manage_master_user_password, false) && aws_db_instance.this.password == null && aws_db_instance.this.master_user_secret_kms_key_id == aws_kms_key.platform.arn
    error_message = "RDS keeps the password in Secrets Manager; Terraform has none"
  }
  assert {
    condition     = aws_secretsmanager_secret_rotation.database.rotation_rules[0].automatically_after_days == 33 && aws_secretsmanager_secret_rotation.database.rotate_immediately == false
    error_message = "the password changes as often as set, not every week"
  }
  assert {
    condition     = aws_db_instance.this.backup_retention_period == 9 && aws_db_instance.this.copy_tags_to_snapshot
    error_message = "backups are kept as long as set"
  }
  assert {
    condition     = one([for p in aws_db_parameter_group.this.parameter : p.value if p.name == "rds.force_ssl"]) == "1" && aws_db_instance.this.parameter_group_name == aws_db_parameter_group.this.name
    error_message = "connections are encrypted"
  }
  assert {
    condition     = aws_db_instance.this.vpc_security_group_ids == toset([aws_security_group.database.id]) && aws_vpc_security_group_ingress_rule.database.security_group_id == aws_security_group.database.id && aws_vpc_security_group_ingress_rule.database.referenced_security_group_id == aws_eks_cluster.this.vpc_config[0].cluster_security_group_id && aws_vpc_security_group_ingress_rule.database.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.database.from_port == 5432 && aws_vpc_security_group_ingress_rule.database.to_port == 5432
    error_message = "the cluster's nodes reach Postgres, nobody else does"
  }
  assert {
    condition     = { for k, g in aws_cloudwatch_log_group.database : k => g.name } == { for k in aws_db_instance.this.enabled_cloudwatch_logs_exports : k => "/aws/rds/instance/${aws_db_instance.this.identifier}/${k}" }
    error_message = "every log of the database has a group with an end"
  }
  assert {
    condition     = aws_db_instance.this.max_allocated_storage == 100 && aws_db_instance.this.auto_minor_version_upgrade
    error_message = "the disk grows and fixes come by themselves"
  }
}
