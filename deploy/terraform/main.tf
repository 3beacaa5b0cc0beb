# The mirror's role in its own account, and a role that it assumes in another one. See README.md beside this file.
terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = ">= 5.0"
      configuration_aliases = [aws.other_account]
    }
  }
}

resource "aws_iam_role" "mirror" {
  name               = var.name
  description        = "ecr-mirror: pulls and pushes for its clients"
  assume_role_policy = local.trust

  lifecycle {
    precondition {
      condition     = length(var.trusted_services) > 0 || var.oidc_provider_arn != null
      error_message = "Nobody could assume the role: give trusted_services or oidc_provider_arn."
    }
  }
}

resource "aws_iam_role_policy" "registry" {
  name   = "registry"
  role   = aws_iam_role.mirror.id
  policy = local.policy
}

# For trusted_services = ["ec2"].
resource "aws_iam_instance_profile" "mirror" {
  count = contains(var.trusted_services, "ec2") ? 1 : 0

  name = var.name
  role = aws_iam_role.mirror.name
}

# Two accounts: the upstream of the other one has this role as its credentials.roleArn.
resource "aws_iam_role" "other_account" {
  count    = length(var.other_account_repositories) > 0 ? 1 : 0
  provider = aws.other_account

  name        = var.name
  description = "ecr-mirror: pulls from this account's registry"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = aws_iam_role.mirror.arn }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "sts:ExternalId" = var.external_id } }
    }]
  })
}

resource "aws_iam_role_policy" "other_account" {
  count    = length(var.other_account_repositories) > 0 ? 1 : 0
  provider = aws.other_account

  name   = "registry"
  role   = aws_iam_role.other_account[0].id
  policy = local.other_account_policy
}

resource "aws_iam_role_policy" "assume_other_account" {
  count = length(var.other_account_repositories) > 0 ? 1 : 0

  name = "assume-other-account"
  role = aws_iam_role.mirror.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "AssumeRoleOfOtherAccount"
      Effect   = "Allow"
      Action   = "sts:AssumeRole"
      Resource = aws_iam_role.other_account[0].arn
    }]
  })
}
