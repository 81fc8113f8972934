# A deployment to rely on: put your account and mail in.
environment        = "prod"
region             = "us-east-2"
availability_zones = ["us-east-2a", "us-east-2b", "us-east-2c"]
tags               = { cost-center = "retail-data" }

# The cluster's API is private: Terraform and helm run inside the VPC or come by VPN.
cluster_admin_arns  = ["arn:aws:iam::111122223333:role/platform-admin"]
cluster_viewer_arns = ["arn:aws:iam::111122223333:role/data-engineer"]
nat_per_zone        = true
executor_cpu_limit  = 256

database_class       = "db.t4g.medium"
database_multi_az    = true
database_backup_days = 30
log_retention_days   = 365

producer_arns = ["arn:aws:iam::444455556666:role/till-export"]
analyst_arns  = ["arn:aws:iam::111122223333:role/analytics"]
web_shop_arns = ["arn:aws:iam::444455556666:role/web-shop"]

# Pushes images from the main branch of one repository.
ci = {
  issuer   = "token.actions.githubusercontent.com"
  subjects = ["repo:my-org/pit-pipeline:ref:refs/heads/main"]
}

alarm_emails       = ["data@example.com", "on-call@example.com"]
monthly_budget_usd = 3000
