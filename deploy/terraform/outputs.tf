output "role_arn" {
  description = "For the service account's annotation eks.amazonaws.com/role-arn, or as the task role."
  value       = aws_iam_role.mirror.arn
}

output "instance_profile" {
  description = "For EC2; null when ec2 is not among trusted_services."
  value       = one(aws_iam_instance_profile.mirror[*].name)
}

output "other_account_role_arn" {
  description = "For credentials.roleArn of the other account's upstream; null when there is none."
  value       = one(aws_iam_role.other_account[*].arn)
}
