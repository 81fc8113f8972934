# The registry of the one image that every pod uses, and the role by which CI pushes it.

resource "aws_ecr_repository" "this" {
  name                 = local.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.protect_data

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.platform.arn
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Images without a tag, left by pushes that broke off"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "All but the newest releases"
        selection    = { tagStatus = "tagged", tagPatternList = ["*"], countType = "imageCountMoreThan", countNumber = var.image_count }
        action       = { type = "expire" }
      },
    ]
  })
}

locals {
  repository_arn = "arn:${local.partition}:ecr:${var.region}:${local.account}:repository/${local.name}"
  ci             = var.ci == null ? {} : { this = var.ci }
}

resource "aws_iam_openid_connect_provider" "ci" {
  for_each = { for key, ci in local.ci : key => ci if ci.create_provider }

  url            = "https://${each.value.issuer}"
  client_id_list = [each.value.audience]
}

resource "aws_iam_role" "ci" {
  for_each = local.ci

  name        = "${local.name}-ci"
  description = "Taken by CI to push images"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = "arn:${local.partition}:iam::${local.account}:oidc-provider/${each.value.issuer}" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = { "${each.value.issuer}:aud" = each.value.audience }
        StringLike   = { "${each.value.issuer}:sub" = each.value.subjects }
      }
    }]
  })

  depends_on = [aws_iam_openid_connect_provider.ci]
}

resource "aws_iam_role_policy" "ci" {
  for_each = local.ci

  name = "push"
  role = aws_iam_role.ci[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LogIn"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*" # a login is to the registry; it knows no repository
      },
      {
        Sid    = "Push"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
          "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = local.repository_arn
      },
    ]
  })
}
