variable "name" {
  description = "What everything is called after. Together with the environment at most 20 characters, because bucket names hold it."
  type        = string
  default     = "pit-pipeline"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*[a-z0-9]$", var.name))
    error_message = "name must be lower-case letters, digits and hyphens, starting with a letter: pit-pipeline."
  }
  validation {
    condition     = length("${var.name}-${var.environment}") <= 20
    error_message = "name and environment joined by a hyphen may have at most 20 characters, because bucket names hold them."
  }
}

variable "environment" {
  description = "Which of the deployments this is; part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{1,10}$", var.environment))
    error_message = "environment must be 1 to 10 lower-case letters or digits: dev, prod."
  }
}

variable "region" {
  description = "AWS region of everything but the billing alarm, which AWS keeps in us-east-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region such as us-east-2 or sa-east-1."
  }
}

variable "tags" {
  description = "More tags on everything, for cost reports: owner, cost-center. project, environment and managed-by are set here."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.tags), ["project", "environment", "managed-by"])) == 0
    error_message = "tags must not hold project, environment or managed-by, which are set from name and environment."
  }
}

variable "protect_data" {
  description = "Whether destroying is refused while data or backups would be lost. Apply false, then destroy."
  type        = bool
  default     = true
  nullable    = false
}

# Network

variable "vpc_cidr" {
  description = "Addresses of the VPC, a private IPv4 block from /16 to /19. Pods take addresses of the private subnets."
  type        = string
  default     = "10.64.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(regex("^(10|172|192)\\..*/1[6-9]$", var.vpc_cidr))
    error_message = "vpc_cidr must be a private IPv4 block between /16 and /19, such as 10.64.0.0/16."
  }
}

variable "availability_zones" {
  description = "Availability zones to use, two or three; a third gives spot capacity more choice. Addresses go by the order: append only."
  type        = list(string)

  validation {
    condition     = contains([2, 3], length(distinct(var.availability_zones))) && alltrue([for zone in var.availability_zones : can(regex("^${var.region}[a-z]$", zone))])
    error_message = "availability_zones must be two or three zones of the region, such as us-east-2a and us-east-2b."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone instead of one for all: the cluster reaches the Internet when a zone fails, at a price per hour each."
  type        = bool
  default     = false
}

variable "interface_endpoints" {
  description = "AWS services to reach by interface endpoints instead of NAT. Each costs by the hour and zone; S3's gateway endpoint is free and always there."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.interface_endpoints, ["athena", "ecr.api", "ecr.dkr", "eks", "eks-auth", "glue", "kms", "logs", "secretsmanager", "sts"])) == 0
    error_message = "interface_endpoints may hold athena, ecr.api, ecr.dkr, eks, eks-auth, glue, kms, logs, secretsmanager and sts; what else is used goes by S3's gateway endpoint."
  }
}

# Cluster

variable "kubernetes_version" {
  description = "EKS version. EKS upgrades a cluster itself when standard support of its version ends."
  type        = string
  default     = "1.35"

  validation {
    condition     = can(regex("^1\\.(3[4-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version must be a minor version from 1.34 on, such as 1.35."
  }
}

variable "cluster_admin_arns" {
  description = "IAM roles or users that administer the cluster. The one that runs Terraform must be among them: it installs the node pools."
  type        = set(string)

  validation {
    condition     = length(var.cluster_admin_arns) > 0 && alltrue([for arn in var.cluster_admin_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$", arn))])
    error_message = "cluster_admin_arns must name at least one IAM role or user: arn:aws:iam::111122223333:role/platform-admin."
  }
}

variable "cluster_viewer_arns" {
  description = "IAM roles or users that may look at the cluster with any viewer (kubectl, k9s, Headlamp) and change nothing; they see no secrets."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.cluster_viewer_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$", arn))])
    error_message = "cluster_viewer_arns must be ARNs of IAM roles or users."
  }
}

variable "cluster_public_access_cidrs" {
  description = "Addresses from which the cluster's API can be reached over the Internet (with IAM besides). Empty: only from inside the VPC."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.cluster_public_access_cidrs : can(cidrnetmask(cidr)) && !endswith(cidr, "/0")])
    error_message = "cluster_public_access_cidrs must be IPv4 blocks such as 203.0.113.10/32, never the whole Internet."
  }
}

variable "cluster_log_types" {
  description = "Control plane logs that EKS writes to CloudWatch. Audit is the one that costs, and the one that tells who did what."
  type        = set(string)
  default     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  validation {
    condition     = length(setsubtract(var.cluster_log_types, ["api", "audit", "authenticator", "controllerManager", "scheduler"])) == 0
    error_message = "cluster_log_types may hold api, audit, authenticator, controllerManager and scheduler."
  }
}

variable "platform_cpu_limit" {
  description = "The most CPUs of on-demand nodes (Dagster, steps, which are Spark drivers); where a runaway backfill stops costing more."
  type        = number
  default     = 32

  validation {
    condition     = var.platform_cpu_limit >= 4 && floor(var.platform_cpu_limit) == var.platform_cpu_limit
    error_message = "platform_cpu_limit must be a whole number of CPUs, 4 or more."
  }
}

variable "executor_cpu_limit" {
  description = "The most CPUs of spot nodes for Spark executors. They start from none and go back to none."
  type        = number
  default     = 128

  validation {
    condition     = var.executor_cpu_limit >= 4 && floor(var.executor_cpu_limit) == var.executor_cpu_limit
    error_message = "executor_cpu_limit must be a whole number of CPUs, 4 or more."
  }
}

variable "ingress_scheme" {
  description = "Whether load balancers of Ingresses are reached from inside the VPC (internal) or from the Internet (internet-facing)."
  type        = string
  default     = "internal"

  validation {
    condition     = contains(["internal", "internet-facing"], var.ingress_scheme)
    error_message = "ingress_scheme must be internal or internet-facing."
  }
}

variable "create_spot_role" {
  description = "Whether to make EC2's service-linked role for spot instances. An account has it once: false where it is there already."
  type        = bool
  default     = true
}
