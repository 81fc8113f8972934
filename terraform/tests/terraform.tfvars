# What every test starts from; a test says what it changes.
environment        = "test"
region             = "us-east-2"
availability_zones = ["us-east-2a", "us-east-2b", "us-east-2c"]
cluster_admin_arns = ["arn:aws:iam::111122223333:role/terraform"]
alarm_emails       = ["data@example.com"]
monthly_budget_usd = 500
protect_data       = false # or the clean-up after a test would be refused
