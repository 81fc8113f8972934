# Retention, in days

variable "failed_retention_days" {
  description = "Days that the rejects of a failed day are kept for a look."
  type        = number
  default     = 30

  validation {
    condition     = var.failed_retention_days >= 1 && floor(var.failed_retention_days) == var.failed_retention_days
    error_message = "failed_retention_days must be a whole number of days, 1 or more."
  }
}

variable "noncurrent_retention_days" {
  description = "Days that an overwritten or deleted landed file can be brought back."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_retention_days >= 1 && floor(var.noncurrent_retention_days) == var.noncurrent_retention_days
    error_message = "noncurrent_retention_days must be a whole number of days, 1 or more."
  }
}

variable "infrequent_access_days" {
  description = "Days after which landed files and tables move to infrequent access. Recommendations read the last 90, so not sooner."
  type        = number
  default     = 120

  validation {
    condition     = var.infrequent_access_days >= 90 && floor(var.infrequent_access_days) == var.infrequent_access_days
    error_message = "infrequent_access_days must be a whole number of days, 90 or more: recommendations read the last 90 days."
  }
}

variable "log_retention_days" {
  description = "Days that CloudWatch log groups, compute logs, access logs and flow logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a retention that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, ..."
  }
}

variable "query_result_retention_days" {
  description = "Days that results of Athena's queries are kept."
  type        = number
  default     = 14

  validation {
    condition     = var.query_result_retention_days >= 1 && floor(var.query_result_retention_days) == var.query_result_retention_days
    error_message = "query_result_retention_days must be a whole number of days, 1 or more."
  }
}

# Athena

variable "query_scan_limit_gb" {
  description = "Gigabytes that one query may scan before Athena stops it."
  type        = number
  default     = 100

  validation {
    condition     = var.query_scan_limit_gb >= 1 && floor(var.query_scan_limit_gb) == var.query_scan_limit_gb
    error_message = "query_scan_limit_gb must be a whole number of gigabytes, 1 or more."
  }
}

variable "analyst_tables" {
  description = "Tables that analysts may read. rejected_visits is left out: its rows are raw records."
  type        = set(string)
  default     = ["visits", "daily_metrics", "recommendations"]

  validation {
    condition     = length(setsubtract(var.analyst_tables, keys(jsondecode(file("${path.module}/tables.json"))))) == 0
    error_message = "analyst_tables may hold only tables of tables.json."
  }
}

# People and systems

variable "producer_arns" {
  description = "IAM principals that may take the producer's role: put files into landing, read nothing. None: no such role."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.producer_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[^*]+$", arn))])
    error_message = "producer_arns must be ARNs of IAM roles or users, without wildcards."
  }
}

variable "analyst_arns" {
  description = "IAM principals that may take the analysts' role: queries in Athena's workgroup. None: no such role."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.analyst_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[^*]+$", arn))])
    error_message = "analyst_arns must be ARNs of IAM roles or users, without wildcards."
  }
}

variable "web_shop_arns" {
  description = "IAM principals that may take the web shop's role: read recommendations, nothing else. None: no such role."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.web_shop_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[^*]+$", arn))])
    error_message = "web_shop_arns must be ARNs of IAM roles or users, without wildcards."
  }
}

variable "ci" {
  description = "The CI that pushes images by OIDC: its issuer (host and path), the subjects that may, and whether the account lacks the issuer's provider. Null: no such role."
  type = object({
    issuer          = string
    subjects        = list(string)
    audience        = optional(string, "sts.amazonaws.com")
    create_provider = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.ci == null ? true : can(regex("^[a-z0-9.-]+\\.[a-z]+(/.*)?$", var.ci.issuer)) && length(var.ci.subjects) > 0
    error_message = "ci.issuer must be a host without https://, such as token.actions.githubusercontent.com, and ci.subjects must name at least one subject."
  }
  validation {
    condition     = var.ci == null ? true : alltrue([for subject in var.ci.subjects : can(regex("^[a-z_]+:[^*?:/]+/[^*?:]+:[^*?]", subject))])
    error_message = "ci.subjects must name one repository each, such as repo:my-org/pit-pipeline:ref:refs/heads/main; a wildcard may only end them."
  }
}

# Database

variable "database_version" {
  description = "Major version of Postgres; minor ones come by themselves in the maintenance window."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^1[6-9]$", var.database_version))
    error_message = "database_version must be a major version from 16 to 19."
  }
}

variable "database_class" {
  description = "Instance class of the database that holds Dagster's runs, events and schedules."
  type        = string
  default     = "db.t4g.small"

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.database_class))
    error_message = "database_class must be an RDS instance class such as db.t4g.small."
  }
}

variable "database_storage_gb" {
  description = "Gigabytes to begin with, and where growing by itself ends."
  type        = object({ initial = number, limit = number })
  default     = { initial = 20, limit = 100 }

  validation {
    condition     = var.database_storage_gb.initial >= 20 && var.database_storage_gb.limit > var.database_storage_gb.initial
    error_message = "database_storage_gb.initial must be 20 or more, and limit larger than it."
  }
}

variable "database_multi_az" {
  description = "A standby in another zone, at twice the price."
  type        = bool
  default     = false
}

variable "database_backup_days" {
  description = "Days of backups from which the database can be restored to any second."
  type        = number
  default     = 7

  validation {
    condition     = var.database_backup_days >= 1 && var.database_backup_days <= 35
    error_message = "database_backup_days must be 1 to 35."
  }
}

variable "database_password_days" {
  description = "Days after which RDS changes the database's password. Pods take the new one when they start."
  type        = number
  default     = 90

  validation {
    condition     = var.database_password_days >= 1 && var.database_password_days <= 1000
    error_message = "database_password_days must be 1 to 1000."
  }
}

# Image

variable "image_count" {
  description = "Tagged images to keep; each is a release that can be rolled back to."
  type        = number
  default     = 30

  validation {
    condition     = var.image_count >= 2
    error_message = "image_count must be 2 or more, or there is no release to roll back to."
  }
}

# Alarms and money

variable "alarm_emails" {
  description = "Addresses that alarms go to; each gets a mail to confirm first."
  type        = set(string)

  validation {
    condition     = length(var.alarm_emails) > 0 && alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alarm_emails must hold at least one e-mail address, or nobody hears an alarm."
  }
}

variable "monthly_budget_usd" {
  description = "What the account may cost in a month, in US dollars: told at 80 % spent and when the forecast passes it."
  type        = number

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd must be more than 0."
  }
}
