# What must be in the cluster before anything is deployed to it, written here and carried in by a chart of one template.
# Helm asks nothing of a cluster while it plans a new release, so that one apply makes the cluster and fills it.

locals {
  node_class = "pit-pipeline"
  node_pools = { platform = "platform", executors = "executors" }

  executor_taint = { key = "pit-pipeline/executors", value = "true", effect = "NoSchedule" }

  # Any current x86 instance with 4 GB per CPU or more: the wider the choice, the more often spot has one.
  node_requirements = [
    { key = "kubernetes.io/arch", operator = "In", values = ["amd64"] },
    { key = "kubernetes.io/os", operator = "In", values = ["linux"] },
    { key = "eks.amazonaws.com/instance-category", operator = "In", values = ["m", "r"] },
    { key = "eks.amazonaws.com/instance-generation", operator = "Gt", values = ["4"] },
  ]

  node_pool_spec = {
    nodeClassRef           = { group = "eks.amazonaws.com", kind = "NodeClass", name = local.node_class }
    expireAfter            = "336h" # two weeks, then a node with the newest image takes over
    terminationGracePeriod = "24h"  # what a step that must not be disturbed has left then
  }

  cluster_objects = [
    # Auto Mode enforces NetworkPolicies only with this.
    {
      apiVersion = "v1"
      kind       = "ConfigMap"
      metadata   = { name = "amazon-vpc-cni", namespace = "kube-system" }
      data       = { "enable-network-policy-controller" = "true" }
    },
    {
      apiVersion = "eks.amazonaws.com/v1"
      kind       = "NodeClass"
      metadata   = { name = local.node_class }
      spec = {
        role                       = aws_iam_role.node.name
        subnetSelectorTerms        = [for subnet in aws_subnet.private : { id = subnet.id }]
        securityGroupSelectorTerms = [{ id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id }]
        networkPolicy              = "DefaultAllow" # as Kubernetes has it: a pod is closed by the policies that name it
        networkPolicyEventLogs     = "Disabled"
        ephemeralStorage           = { size = "100Gi" } # Spark's shuffle lies here
      }
    },
    # Dagster and steps, which are Spark's drivers: on-demand.
    {
      apiVersion = "karpenter.sh/v1"
      kind       = "NodePool"
      metadata   = { name = local.node_pools.platform }
      spec = {
        template = { spec = merge(local.node_pool_spec, {
          requirements = concat(local.node_requirements, [
            { key = "karpenter.sh/capacity-type", operator = "In", values = ["on-demand"] },
          ])
        }) }
        limits     = { cpu = tostring(var.platform_cpu_limit) }
        disruption = { consolidationPolicy = "WhenEmptyOrUnderutilized", consolidateAfter = "5m" }
      }
    },
    # Spark's executors: spot, none until a step asks for them, none again a minute after.
    {
      apiVersion = "karpenter.sh/v1"
      kind       = "NodePool"
      metadata   = { name = local.node_pools.executors }
      spec = {
        template = { spec = merge(local.node_pool_spec, {
          taints = [local.executor_taint]
          requirements = concat(local.node_requirements, [
            { key = "karpenter.sh/capacity-type", operator = "In", values = ["spot"] },
            { key = "eks.amazonaws.com/instance-cpu", operator = "In", values = ["4", "8", "16"] },
          ])
        }) }
        limits     = { cpu = tostring(var.executor_cpu_limit) }
        disruption = { consolidationPolicy = "WhenEmpty", consolidateAfter = "1m" }
      }
    },
    {
      apiVersion = "eks.amazonaws.com/v1"
      kind       = "IngressClassParams"
      metadata   = { name = "alb" }
      spec       = { scheme = var.ingress_scheme }
    },
    {
      apiVersion = "networking.k8s.io/v1"
      kind       = "IngressClass"
      metadata   = { name = "alb" }
      spec = {
        controller = "eks.amazonaws.com/alb"
        parameters = { apiGroup = "eks.amazonaws.com", kind = "IngressClassParams", name = "alb" }
      }
    },
  ]
}

resource "helm_release" "cluster_objects" {
  name           = "cluster-objects"
  namespace      = "kube-system"
  chart          = "${path.module}/cluster-objects"
  take_ownership = true # of the ConfigMap, should EKS have made it
  values         = [yamlencode({ objects = local.cluster_objects })]
  timeout        = 900 # seconds; on destroy the pools' nodes are drained first

  depends_on = [
    aws_eks_access_policy_association.admin,
    aws_eks_access_policy_association.node,
    aws_iam_role_policy_attachment.node,
  ]
}

# Brings the database's password from Secrets Manager into a Secret, for the pods of the platform.
resource "aws_eks_addon" "secrets" {
  cluster_name = aws_eks_cluster.this.name
  addon_name   = "aws-secrets-store-csi-driver-provider"
  configuration_values = jsonencode({
    secrets-store-csi-driver = {
      syncSecret           = { enabled = true }
      enableSecretRotation = true
      rotationPollInterval = "120s"
    }
  })

  depends_on = [helm_release.cluster_objects]
}
