import { parseArgs } from 'node:util'
import { startEcr, type Profile } from './ecr.js'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '4566' },
    's3-port': { type: 'string', default: '4567' },
    profile: { type: 'string', default: 'ecr' },
  },
})
const profile: Profile = values.profile === 'spec' ? 'spec' : 'ecr'

const ecr = await startEcr({
  profile,
  port: Number(values.port),
  s3Port: Number(values['s3-port']),
  knobs: { loopbackHost: true, createOnPush: [''] },
})
const image = await ecr.putImage('team/hello', '1.0')
const { host: registry } = new URL(ecr.url)
const password = ecr.token().password

process.stdout.write(`\
A stand-in for Amazon ECR (profile ${profile}) is up; end it with Ctrl-C.

  registry and API  ${ecr.url}
  layer bucket      http://${ecr.s3Host}
  account's host    ${ecr.host}
  image             ${ecr.host}/team/hello:1.0  ${image.digest}

For anything that uses an AWS SDK or the AWS CLI:
  export AWS_ENDPOINT_URL_ECR=${ecr.url} AWS_ENDPOINT_URL_STS=${ecr.url} AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE AWS_SECRET_ACCESS_KEY=any

For a mirror's upstream:
  - { name: main, host: ${ecr.host}, endpoint: "${ecr.url}", apiEndpoint: "${ecr.url}", redirectHosts: ["${ecr.s3Host}"] }

Straight at it, without a mirror:
  export ECR_PASSWORD='${password}'
  skopeo inspect --tls-verify=false --creds "AWS:$ECR_PASSWORD" docker://${registry}/team/hello:1.0
`)

const end = (): void => {
  process.off('SIGINT', end).off('SIGTERM', end)
  void ecr.close()
}
process.on('SIGINT', end).on('SIGTERM', end)
