import {
  CreateRepositoryCommand,
  ECRClient,
  GetAuthorizationTokenCommand,
  RepositoryAlreadyExistsException,
} from '@aws-sdk/client-ecr'
import type { PrivateEcrHost } from './ecr-host.js'
import type { IssuedToken } from './ecr-token.js'
import {
  authorizationTokenOf,
  credentialsOf,
  REQUEST_HANDLER,
  type CredentialSettings,
} from './aws-client.js'
import type { Repository } from '../oci/reference.js'
import { Secret } from '../secret.js'
import { untilAborted } from '../until-aborted.js'

export interface EcrApiSettings {
  readonly ecr: Pick<PrivateEcrHost, 'region' | 'fips' | 'dualStack'>
  readonly credentials: CredentialSettings
  /** A URL; otherwise AWS's own rules. */
  readonly apiEndpoint: string | undefined
  /** Milliseconds for one token, the SDK's own attempts and the way to the credentials included. */
  readonly deadline?: number
}

/** How a repository is made (AWS: CreateRepository); what is left out is as ECR has it. */
export interface RepositoryTemplate {
  readonly tagMutability?: 'MUTABLE' | 'IMMUTABLE' | undefined
  readonly scanOnPush?: boolean | undefined
  readonly encryption?:
    { readonly type: 'AES256' | 'KMS' | 'KMS_DSSE'; readonly key?: string | undefined } | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
}

/** The ECR API of a region, as far as the mirror uses it. */
export interface EcrApi {
  /** Fails with the SDK's errors, or a MalformedToken. */
  issueToken(): Promise<IssuedToken>
  /** Resolves when the repository is there, whoever made it. Fails with the SDK's errors. */
  createRepository(account: string, name: Repository, template: RepositoryTemplate): Promise<void>
  close(): void
}

export function createEcrApi({ ecr, credentials, apiEndpoint, deadline = 15_000 }: EcrApiSettings): EcrApi {
  const client = new ECRClient({
    region: ecr.region,
    requestHandler: REQUEST_HANDLER,
    ...endpointOf(ecr, apiEndpoint),
    ...credentialsOf(ecr.region, credentials),
  })
  return {
    async issueToken() {
      const abortSignal = AbortSignal.timeout(deadline)
      // Looking for credentials heeds no signal, so the wait for it ends here.
      const answer = await untilAborted(
        client.send(new GetAuthorizationTokenCommand({}), { abortSignal }),
        abortSignal,
      )
      const issued = answer.authorizationData?.[0]
      return {
        authorization: new Secret(`Basic ${authorizationTokenOf(issued)}`),
        expiresAt: issued?.expiresAt,
      }
    },
    async createRepository(account, name, { tagMutability, scanOnPush, encryption, tags = {} }) {
      const abortSignal = AbortSignal.timeout(deadline)
      const command = new CreateRepositoryCommand({
        registryId: account,
        repositoryName: name,
        imageTagMutability: tagMutability,
        imageScanningConfiguration: scanOnPush === undefined ? undefined : { scanOnPush },
        encryptionConfiguration: encryption && { encryptionType: encryption.type, kmsKey: encryption.key },
        tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
      })
      await untilAborted(client.send(command, { abortSignal }), abortSignal).catch((error: unknown) => {
        if (!(error instanceof RepositoryAlreadyExistsException)) throw error
      })
    },
    close: () => client.destroy(),
  }
}

/** The endpoint rules refuse FIPS and dual-stack along with an endpoint of one's own. */
function endpointOf(ecr: EcrApiSettings['ecr'], apiEndpoint: string | undefined): object {
  if (apiEndpoint !== undefined)
    return { endpoint: apiEndpoint, useFipsEndpoint: false, useDualstackEndpoint: false }
  return { ...(ecr.fips && { useFipsEndpoint: true }), ...(ecr.dualStack && { useDualstackEndpoint: true }) }
}
