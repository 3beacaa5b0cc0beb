import { OciError } from '../oci/error.js'
import type { Repository } from '../oci/reference.js'
import type { EcrApi, RepositoryTemplate } from './ecr-api.js'
import type { PrivateEcrHost } from './ecr-host.js'
import { awsCauseOf } from './aws-cause.js'
import { problemOf } from './token-problem.js'

export interface RepositoryCreationOptions {
  /** The upstream's name, for people. */
  readonly upstream: string
  readonly ecr: PrivateEcrHost
  readonly template: RepositoryTemplate
  readonly api: Pick<EcrApi, 'createRepository'>
}

/** Makes a repository. Throws an OciError that says what the mirror lacks for it. */
export type CreateRepository = (repository: Repository) => Promise<void>

/** One call for a repository at a time, however many pushes find it missing. */
export function repositoryCreation({
  upstream,
  ecr,
  template,
  api,
}: RepositoryCreationOptions): CreateRepository {
  const running = new Map<Repository, Promise<void>>()

  async function create(repository: Repository): Promise<void> {
    try {
      await api.createRepository(ecr.account, repository, template)
    } catch (error) {
      throw refusal(error, repository)
    } finally {
      running.delete(repository)
    }
  }

  function refusal(error: unknown, repository: Repository): OciError {
    const what = `the repository ${repository} of the upstream "${upstream}"`
    const cause = awsCauseOf(error)
    switch (problemOf(error)) {
      case 'denied':
        return new OciError(
          'DENIED',
          `ecr-mirror: ${what} is missing and cannot be created: the mirror's AWS role lacks ecr:CreateRepository` +
            `${Object.keys(template.tags ?? {}).length > 0 ? ' or ecr:TagResource' : ''} on it.`,
          { cause },
        )
      case 'throttled':
        return new OciError('TOOMANYREQUESTS', `ECR limits the rate of CreateRepository; try again.`, {
          retryAfter: 1,
          cause,
        })
      default:
        return new OciError(
          'UNKNOWN',
          `ecr-mirror: ${what} is missing and could not be created; try again.`,
          {
            status: 503,
            retryAfter: 5,
            cause,
          },
        )
    }
  }

  return repository => {
    const known = running.get(repository)
    if (known) return known
    const made = create(repository)
    running.set(repository, made)
    return made
  }
}
