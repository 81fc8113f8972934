mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

run "cluster" {
  variables {
    cluster_viewer_arns = ["arn:aws:iam::111122223333:role/viewer", "arn:aws:iam::111122223333:role/terraform"]
  }

  assert {
    condition     = aws_eks_cluster.this.compute_config[0].enabled && aws_eks_cluster.this.kubernetes_network_config[0].elastic_load_balancing[0].enabled && aws_eks_cluster.this.storage_config[0].block_storage[0].enabled
    error_message = "Auto Mode is on in all three parts"
  }
  assert {
    condition     = length(coalesce(aws_eks_cluster.this.compute_config[0].node_pools, [])) == 0
    error_message = "EKS's own pools, which have no upper limit, are off"
  }
  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API" && aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions == false
    error_message = "access is by access entries alone; who made the cluster gets none in secret"
  }
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && aws_eks_cluster.this.vpc_config[0].endpoint_public_access == false
    error_message = "the API is private by default"
  }
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].subnet_ids == toset([for s in aws_subnet.private : s.id])
    error_message = "the cluster is in the private subnets"
  }
  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].resources == toset(["secrets"]) && aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == aws_kms_key.platform.arn
    error_message = "secrets are encrypted by the platform's key"
  }
  assert {
    condition     = contains(aws_eks_cluster.this.enabled_cluster_log_types, "audit") && length(aws_eks_cluster.this.enabled_cluster_log_types) == 5
    error_message = "the control plane logs, who did what included"
  }
  assert {
    condition     = aws_eks_cluster.this.version == "1.35" && aws_eks_cluster.this.upgrade_policy[0].support_type == "STANDARD"
    error_message = "the version is a current one and never costs extended support"
  }
  assert {
    condition     = aws_cloudwatch_log_group.cluster.name == "/aws/eks/${aws_eks_cluster.this.name}/cluster" && alltrue([for g in concat([aws_cloudwatch_log_group.cluster, aws_cloudwatch_log_group.crawlers], values(aws_cloudwatch_log_group.database)) : g.retention_in_days == var.log_retention_days && g.kms_key_id == aws_kms_key.platform.arn])
    error_message = "log groups are there before their services make them, encrypted and with an end"
  }
  assert {
    condition     = toset([for p in aws_iam_role_policy_attachment.node : p.policy_arn]) == toset(["arn:aws:iam::aws:policy/AmazonEKSWorkerNodeMinimalPolicy", "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"])
    error_message = "nodes may join the cluster and pull images, and nothing else"
  }
  assert {
    condition     = aws_eks_access_entry.node.type == "EC2" && endswith(aws_eks_access_policy_association.node.policy_arn, "/AmazonEKSAutoNodePolicy")
    error_message = "nodes of our own pools may join"
  }
  assert {
    condition     = toset([for a in aws_eks_access_policy_association.admin : a.principal_arn]) == var.cluster_admin_arns && alltrue([for a in aws_eks_access_policy_association.admin : endswith(a.policy_arn, "/AmazonEKSClusterAdminPolicy")])
    error_message = "those named administer the cluster, nobody else"
  }
  assert {
    condition     = [for a in aws_eks_access_policy_association.viewer : a.principal_arn] == ["arn:aws:iam::111122223333:role/viewer"] && alltrue([for a in aws_eks_access_policy_association.viewer : a.policy_arn == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy" && a.access_scope[0].type == "cluster"])
    error_message = "viewers look and change nothing; an administrator needs no second entry"
  }
  assert {
    condition     = length(aws_iam_service_linked_role.spot) == 1
    error_message = "an account that has never used spot gets the role for it"
  }
  assert {
    condition     = aws_eks_addon.secrets.addon_name == "aws-secrets-store-csi-driver-provider" && jsondecode(aws_eks_addon.secrets.configuration_values).secrets-store-csi-driver.syncSecret.enabled && jsondecode(aws_eks_addon.secrets.configuration_values).secrets-store-csi-driver.enableSecretRotation
    error_message = "the database's password comes into a Secret and follows its changes"
  }
}

run "objects" {
  variables {
    platform_cpu_limit = 12
    executor_cpu_limit = 48
    create_spot_role   = false
  }

  assert {
    condition     = helm_release.cluster_objects.chart == "./cluster-objects" && helm_release.cluster_objects.take_ownership
    error_message = "the objects come with the chart in this folder"
  }
  assert {
    condition     = toset([for o in yamldecode(helm_release.cluster_objects.values[0]).objects : "${o.kind} ${o.metadata.name}"]) == toset(["ConfigMap amazon-vpc-cni", "IngressClass alb", "IngressClassParams alb", "NodeClass pit-pipeline", "NodePool executors", "NodePool platform"])
    error_message = "the cluster gets its pools, its network policies and its load balancers"
  }
  assert {
    condition     = one([for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.data if o.kind == "ConfigMap"])["enable-network-policy-controller"] == "true" && one([for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.metadata.namespace if o.kind == "ConfigMap"]) == "kube-system"
    error_message = "network policies are enforced"
  }
  assert {
    condition     = { for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.metadata.name => one([for r in o.spec.template.spec.requirements : r.values if r.key == "karpenter.sh/capacity-type"]) if o.kind == "NodePool" } == { platform = ["on-demand"], executors = ["spot"] }
    error_message = "platform and drivers are on-demand, executors on spot"
  }
  assert {
    condition     = { for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.metadata.name => o.spec.limits.cpu if o.kind == "NodePool" } == { platform = "12", executors = "48" }
    error_message = "each pool has its upper limit"
  }
  assert {
    condition     = { for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.metadata.name => [for t in try(o.spec.template.spec.taints, []) : "${t.key}=${t.value}:${t.effect}"] if o.kind == "NodePool" } == { platform = [], executors = ["pit-pipeline/executors=true:NoSchedule"] }
    error_message = "nothing but executors runs on spot"
  }
  assert {
    condition     = { for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.metadata.name => o.spec.disruption.consolidationPolicy if o.kind == "NodePool" } == { platform = "WhenEmptyOrUnderutilized", executors = "WhenEmpty" }
    error_message = "executors' nodes go when empty, not while they work"
  }
  assert {
    condition     = alltrue([for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.spec.template.spec.nodeClassRef.name == "pit-pipeline" && contains(o.spec.template.spec.requirements, { key = "eks.amazonaws.com/instance-category", operator = "In", values = ["m", "r"] }) && !anytrue([for r in o.spec.template.spec.requirements : r.key == "node.kubernetes.io/instance-type"]) if o.kind == "NodePool"])
    error_message = "pools may take many instance types of our node class"
  }
  assert {
    condition     = one([for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.spec if o.kind == "NodeClass"]).role == aws_iam_role.node.name && toset([for s in one([for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.spec if o.kind == "NodeClass"]).subnetSelectorTerms : s.id]) == toset([for s in aws_subnet.private : s.id])
    error_message = "nodes are in the private subnets with the nodes' role"
  }
  assert {
    condition     = one([for o in yamldecode(helm_release.cluster_objects.values[0]).objects : o.spec.scheme if o.kind == "IngressClassParams"]) == "internal"
    error_message = "load balancers are internal unless asked for"
  }
  assert {
    condition     = length(aws_iam_service_linked_role.spot) == 0
    error_message = "the account's role for spot is not made twice"
  }
}

run "reached_from_an_office" {
  variables {
    cluster_public_access_cidrs = ["203.0.113.10/32"]
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["203.0.113.10/32"])
    error_message = "the API is reached from the addresses given and no others"
  }
}

run "run_by_a_stranger" {
  command = plan

  variables {
    cluster_admin_arns = ["arn:aws:iam::111122223333:role/somebody-else"]
  }

  expect_failures = [aws_eks_cluster.this]
}
