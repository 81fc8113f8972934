mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

run "small" {
  assert {
    condition     = alltrue([for s in concat(values(aws_subnet.private), values(aws_subnet.database), values(aws_subnet.public)) : s.map_public_ip_on_launch == false])
    error_message = "no subnet gives instances public addresses"
  }
  assert {
    condition     = toset([for s in aws_subnet.private : s.availability_zone]) == toset(var.availability_zones) && toset([for s in aws_subnet.database : s.availability_zone]) == toset(var.availability_zones)
    error_message = "there is a private and a database subnet in each zone"
  }
  assert {
    condition     = length(distinct([for s in concat(values(aws_subnet.private), values(aws_subnet.database), values(aws_subnet.public)) : s.cidr_block])) == 9
    error_message = "subnets have addresses of their own"
  }
  assert {
    condition     = lookup(aws_subnet.public["us-east-2a"].tags, "kubernetes.io/role/elb", "") == "1" && lookup(aws_subnet.private["us-east-2a"].tags, "kubernetes.io/role/internal-elb", "") == "1"
    error_message = "load balancers find their subnets"
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && alltrue([for r in aws_route.nat : r.nat_gateway_id == aws_nat_gateway.this["us-east-2a"].id])
    error_message = "all private subnets share one NAT gateway by default"
  }
  assert {
    condition     = alltrue([for r in concat(values(aws_route.nat), [aws_route.internet]) : r.route_table_id != aws_route_table.database.id])
    error_message = "database subnets have no way out"
  }
  assert {
    condition     = alltrue([for a in aws_route_table_association.database : a.route_table_id == aws_route_table.database.id])
    error_message = "database subnets use the table without a way out"
  }
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.route_table_ids == toset([for t in aws_route_table.private : t.id])
    error_message = "S3 is reached by its gateway endpoint from all private subnets"
  }
  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_security_group.endpoints) == 0
    error_message = "no interface endpoint is paid for unless asked for"
  }
  assert {
    condition     = aws_flow_log.this.log_destination == "arn:aws:s3:::${local.bucket_names["logs"]}/vpc-flow-logs/" && aws_flow_log.this.traffic_type == "REJECT"
    error_message = "refused traffic is logged"
  }
  assert {
    condition     = length(coalesce(aws_default_security_group.this.ingress, [])) == 0 && length(coalesce(aws_default_security_group.this.egress, [])) == 0
    error_message = "the VPC's default security group lets nothing through"
  }
}

run "closed_and_doubled" {
  command = apply

  variables {
    nat_per_zone        = true
    interface_endpoints = ["eks-auth", "sts"]
  }

  assert {
    condition     = alltrue([for zone, r in aws_route.nat : r.nat_gateway_id == aws_nat_gateway.this[zone].id]) && length(aws_nat_gateway.this) == 3
    error_message = "each zone has a NAT gateway of its own"
  }
  assert {
    condition     = toset([for e in aws_vpc_endpoint.interface : e.service_name]) == toset(["com.amazonaws.us-east-2.eks-auth", "com.amazonaws.us-east-2.sts"]) && alltrue([for e in aws_vpc_endpoint.interface : e.private_dns_enabled])
    error_message = "the services asked for are reached inside the VPC"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints[0].cidr_ipv4 == var.vpc_cidr && aws_vpc_security_group_ingress_rule.endpoints[0].from_port == 443 && aws_vpc_security_group_ingress_rule.endpoints[0].to_port == 443
    error_message = "endpoints take HTTPS from the VPC and nothing else"
  }
}
