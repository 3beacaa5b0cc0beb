# The statements of ../iam, each over these repositories in place of the example's. No provider is needed up to here.
locals {
  pull = jsondecode(file("${path.module}/../iam/pull.json")).Statement
  push = jsondecode(file("${path.module}/../iam/push.json")).Statement

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for each in local.pull : each.Resource == "*" ? each : merge(each, { Resource = var.pull_repositories })],
      length(var.push_repositories) == 0 ? [] : [for each in local.push : merge(each, { Resource = var.push_repositories })],
    )
  })

  other_account_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for each in local.pull : each.Resource == "*" ? each : merge(each, { Resource = var.other_account_repositories })
    ]
  })

  oidc_issuer = var.oidc_provider_arn == null ? "" : replace(var.oidc_provider_arn, "/^.*:oidc-provider\\//", "")

  trust = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for service in sort(var.trusted_services) : {
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = service == "pods.eks" ? ["sts:AssumeRole", "sts:TagSession"] : ["sts:AssumeRole"]
      }],
      var.oidc_provider_arn == null ? [] : [{
        Effect    = "Allow"
        Principal = { Federated = var.oidc_provider_arn }
        Action    = ["sts:AssumeRoleWithWebIdentity"]
        Condition = { StringEquals = {
          "${local.oidc_issuer}:aud" = "sts.amazonaws.com"
          "${local.oidc_issuer}:sub" = "system:serviceaccount:${var.service_account}"
        } }
      }],
    )
  })
}
