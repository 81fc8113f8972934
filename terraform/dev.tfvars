# A deployment to try things on: put your account, addresses and mail in. docs/aws.md leads through it.
environment        = "dev"
region             = "us-east-2"
availability_zones = ["us-east-2a", "us-east-2b"]

# Who runs Terraform and administers the cluster, and from where.
cluster_admin_arns          = ["arn:aws:iam::111122223333:role/platform-admin"]
cluster_public_access_cidrs = ["203.0.113.10/32"]

alarm_emails       = ["data@example.com"]
monthly_budget_usd = 500
