# Postgres for Dagster's runs, events and schedules. RDS makes, keeps and changes the password; Terraform never sees it.

locals {
  database = {
    name = "dagster"
    user = "dagster"
    port = 5432
  }
  database_secret_arn = one(aws_db_instance.this.master_user_secret[*].secret_arn)
  database_logs       = toset(["postgresql", "upgrade"])
}

resource "aws_db_subnet_group" "this" {
  name       = local.name
  subnet_ids = [for subnet in aws_subnet.database : subnet.id]
}

resource "aws_security_group" "database" {
  name        = "${local.name}-database"
  description = "Postgres, from the cluster's nodes alone"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id            = aws_security_group.database.id
  description                  = "Postgres from the cluster's nodes"
  referenced_security_group_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.database.port
  to_port                      = local.database.port
}

resource "aws_db_parameter_group" "this" {
  name   = "${local.name}-postgres${var.database_version}"
  family = "postgres${var.database_version}"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000" # milliseconds
  }

  lifecycle {
    create_before_destroy = true
  }
}

# Made before RDS would make them without an end.
resource "aws_cloudwatch_log_group" "database" {
  #checkov:skip=CKV_AWS_338:How long is log_retention_days: a year in prod.tfvars, less where nobody asks for a year.
  for_each = local.database_logs

  name              = "/aws/rds/instance/${local.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.platform.arn
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_157:database_multi_az decides; without a standby Dagster waits while the instance is replaced, and no data is lost.
  #checkov:skip=CKV_AWS_353:A queue of runs and events at a few statements a second; the log of slow statements tells enough.
  #checkov:skip=CKV_AWS_118:As above; the metrics of RDS itself come once a minute.
  #checkov:skip=CKV_AWS_161:Dagster connects by a fixed URL and could not renew an IAM token every 15 minutes.
  identifier     = local.name
  engine         = "postgres"
  engine_version = var.database_version
  instance_class = var.database_class
  db_name        = local.database.name
  port           = local.database.port

  username                      = local.database.user
  manage_master_user_password   = true
  master_user_secret_kms_key_id = aws_kms_key.platform.arn

  storage_type          = "gp3"
  allocated_storage     = var.database_storage_gb.initial
  max_allocated_storage = var.database_storage_gb.limit
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.platform.arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.database.id]
  publicly_accessible    = false
  multi_az               = var.database_multi_az
  parameter_group_name   = aws_db_parameter_group.this.name

  backup_retention_period    = var.database_backup_days
  backup_window              = "03:00-04:00"
  maintenance_window         = "sun:04:30-sun:05:30"
  auto_minor_version_upgrade = true
  copy_tags_to_snapshot      = true

  deletion_protection       = var.protect_data
  skip_final_snapshot       = !var.protect_data
  final_snapshot_identifier = var.protect_data ? "${local.name}-final" : null
  delete_automated_backups  = !var.protect_data

  enabled_cloudwatch_logs_exports = local.database_logs

  depends_on = [aws_cloudwatch_log_group.database]
}

# RDS would change it every seven days. Pods read it when they start, so those that stay must be restarted then.
resource "aws_secretsmanager_secret_rotation" "database" {
  secret_id          = local.database_secret_arn
  rotate_immediately = false

  rotation_rules {
    automatically_after_days = var.database_password_days
  }
}
