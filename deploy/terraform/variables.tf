variable "name" {
  description = "Of the role, and of the role in the other account."
  type        = string
  default     = "ecr-mirror"
}

variable "trusted_services" {
  description = "Where the mirror runs: ec2, ecs-tasks or pods.eks (EKS Pod Identity), any number of them."
  type        = set(string)
  default     = ["ec2"]

  validation {
    condition     = alltrue([for service in var.trusted_services : contains(["ec2", "ecs-tasks", "pods.eks"], service)])
    error_message = "trusted_services may have ec2, ecs-tasks and pods.eks."
  }
}

variable "oidc_provider_arn" {
  description = "The EKS cluster's OIDC provider, for IAM roles for service accounts; null for none."
  type        = string
  default     = null
}

variable "service_account" {
  description = "NAMESPACE:NAME of the mirror's service account, where oidc_provider_arn is given."
  type        = string
  default     = "ecr-mirror:ecr-mirror"
}

variable "pull_repositories" {
  description = "ARNs of the repositories to pull from, with * for any text, such as arn:aws:ecr:us-east-1:123456789012:repository/*."
  type        = list(string)
}

variable "push_repositories" {
  description = "The same of those to push to; none by default."
  type        = list(string)
  default     = []
}

variable "other_account_repositories" {
  description = "ARNs of repositories of the other account to pull from; none: no role is made there."
  type        = list(string)
  default     = []
}

variable "external_id" {
  description = "What the other account's role asks for; the upstream's credentials.externalId."
  type        = string
  default     = "ecr-mirror"
}
