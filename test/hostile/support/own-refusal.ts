import type { PlainAnswer } from '../../support/requests.js'

/** Throws unless an answer is a refusal as the mirror writes them, with one of these statuses. Gives its code. */
export function refusalIn({ status, headers, bytes }: PlainAnswer, statuses: readonly number[]): string {
  if (!statuses.includes(status)) throw new Error(`${status}, not ${statuses.join(' or ')}`)
  if (headers['docker-distribution-api-version'] !== 'registry/2.0') throw new Error('no API version')
  if (headers['content-type'] !== 'application/json') throw new Error(`type ${headers['content-type']}`)
  const { errors } = JSON.parse(bytes.toString('utf8')) as { errors: { code?: unknown; message?: unknown }[] }
  const [error] = errors
  if (typeof error?.code !== 'string' || typeof error.message !== 'string' || errors.length !== 1)
    throw new Error(`not the specification's error: ${bytes.toString('utf8').slice(0, 200)}`)
  return error.code
}
