import type { Ecr, RecordedRequest } from '../ecr/ecr.js'
import type { Pulled } from './pull.js'

/** What the far side saw of a pull, a line for each thing that holds. Throws when one does not. */
export function witness({ requests }: Ecr, { authorization }: Pulled): string[] {
  const at = (listener: RecordedRequest['at']): RecordedRequest[] =>
    requests.filter(each => each.at === listener)
  const [api, registry, s3] = [at('api'), at('registry'), at('s3')]
  const tokenCalls = api.filter(({ action }) => action === 'GetAuthorizationToken')

  return [
    holds(
      requests.every(({ rawHeaders }) => !rawHeaders.includes(authorization)),
      'The client had its password and nothing else, and that password never left the mirror.',
    ),
    holds(
      tokenCalls.length === 1,
      'The mirror fetched the ECR token itself: one GetAuthorizationToken for the whole pull.',
    ),
    holds(
      registry.length > 0 && registry.every(({ headers }) => userOf(headers.authorization) === 'AWS'),
      `ECR got ${registry.length} requests, every one with that token.`,
    ),
    holds(
      s3.length > 0 && s3.every(({ headers }) => headers.authorization === undefined),
      `ECR redirected the blobs to S3; the mirror followed, ${s3.length} times, without any Authorization.`,
    ),
  ]
}

function userOf(authorization = ''): string | undefined {
  return Buffer.from(authorization.replace(/^Basic /, ''), 'base64')
    .toString('utf8')
    .split(':')[0]
}

function holds(fact: boolean, line: string): string {
  if (!fact) throw new Error(`This should hold, and does not: ${line}`)
  return line
}
