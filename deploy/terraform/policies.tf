# The statements of ../iam, each over these repositories in place of the example's. No provider is needed up to here.
locals {
  pull = jsondecode(file("${path.module}/../iam/pull.json")).Statement
  push = jsondecode(file("${path.module}/../iam/push.json")).Statement

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for each in local.pull : merge(each, { Resource = each.Resource == "*" ? ["*"] : var.pull_repositories })],
      [for each in local.push : merge(each, { Resource = var.push_repositories }) if length(var.push_repositories) > 0],
    )
  })

  other_account_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for each in local.pull : merge(each, { Resource = each.Resource == "*" ? ["*"] : var.other_account_repositories })
    ]
  })

  trust = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for service in sort(var.trusted_services) : {
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = service == "pods.eks" ? ["sts:AssumeRole", "sts:TagSession"] : ["sts:AssumeRole"]
      }],
      [for provider in var.oidc_provider_arn[*] : {
        Effect    = "Allow"
        Principal = { Federated = provider }
        Action    = ["sts:AssumeRoleWithWebIdentity"]
        Condition = { StringEquals = {
          "${replace(provider, "/^.*:oidc-provider\\//", "")}:aud" = "sts.amazonaws.com"
          "${replace(provider, "/^.*:oidc-provider\\//", "")}:sub" = "system:serviceaccount:${var.service_account}"
        } }
      }],
    )
  })
}
