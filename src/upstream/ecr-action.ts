/**
 * The actions of the ECR API that stand behind registry requests; quotas and permissions go by them.
 * AWS: "Amazon ECR service quotas" and "Actions, resources, and condition keys for Amazon ECR".
 */
export const ECR_ACTIONS = [
  'GetAuthorizationToken',
  'BatchCheckLayerAvailability',
  'BatchGetImage',
  'GetDownloadUrlForLayer',
  'InitiateLayerUpload',
  'UploadLayerPart',
  'CompleteLayerUpload',
  'PutImage',
  'BatchDeleteImage',
  'ListImages',
  'ListImageReferrers',
  'DescribeRepositories',
] as const

export type EcrAction = (typeof ECR_ACTIONS)[number]
