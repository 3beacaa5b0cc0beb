import { randomUUID } from 'node:crypto'
import type { Registry } from './accounts.js'
import { playFaults } from './faults.js'
import type { Action } from './knobs.js'
import { asText, parseObject, type JsonObject } from './manifest-facts.js'
import { readBody, type Exchange } from './server.js'
import type { Stand } from './stand.js'

const TARGET = /^(?:AmazonEC2ContainerRegistry_V20150921|SpencerFrontendService)\.(\w+)$/
const CREDENTIAL = /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/\d{8}\/([^/,]+)\/(ecr(?:-public)?)\/aws4_request,/
const ACTIONS: Readonly<Record<string, Action>> = {
  GetAuthorizationToken: 'GetAuthorizationToken',
  CreateRepository: 'CreateRepository',
  DescribeRepositories: 'DescribeRepositories',
}

/** The ECR API, as much of it as a mirror needs: AWS JSON 1.1, signed requests, one target per action. */
export async function handleApi(stand: Stand, exchange: Exchange): Promise<void> {
  const { request, record } = exchange
  const { knobs } = stand
  record.at = 'api'
  const action = ACTIONS[TARGET.exec(header(request.headers['x-amz-target']))?.[1] ?? '']
  record.action = action
  if (action && (await playFaults(exchange, knobs, action))) return
  const input = parseObject((await readBody(exchange, 1024 * 1024))?.toString('utf8') ?? '')
  if (!action) {
    fail(exchange, 400, 'UnknownOperationException', '')
    return
  }

  const isPublic = header(request.headers['x-amz-target']).startsWith('Spencer')
  const [, accessKeyId, region, service] = CREDENTIAL.exec(request.headers.authorization ?? '') ?? []
  if (accessKeyId === undefined || region === undefined || (service === 'ecr-public') !== isPublic) {
    fail(exchange, 403, 'MissingAuthenticationTokenException', 'Missing Authentication Token')
    return
  }
  const home = stand.accounts.all.find(each => each.region === region && each.isPublic === isPublic)
  record.accessKeyId = accessKeyId
  record.region = region
  record.account = home?.account
  if (knobs.iamDenied[action]) {
    const user = `arn:aws:iam::${home?.account ?? ''}:user/mirror`
    fail(
      exchange,
      400,
      'AccessDeniedException',
      `User: ${user} is not authorized to perform: ecr:${action} on resource: * because no identity-based policy allows the ecr:${action} action`,
    )
    return
  }
  if (!stand.quotas.allow(knobs, action, home?.account ?? '')) {
    fail(exchange, 400, 'ThrottlingException', 'Rate exceeded')
    return
  }
  if (!input) {
    fail(exchange, 400, 'SerializationException', '')
    return
  }
  if (!home) {
    fail(exchange, 400, 'InvalidParameterException', `There is no registry in ${region}`)
    return
  }
  switch (action) {
    case 'GetAuthorizationToken': {
      getAuthorizationToken(stand, exchange, home, accessKeyId, input)
      return
    }
    case 'CreateRepository': {
      createRepository(stand, exchange, home, input)
      return
    }
    default: {
      succeed(exchange, {
        repositories: [...home.repositories.values()].map(each => describe(home, each.name, each.immutable)),
      })
      return
    }
  }
}

function getAuthorizationToken(
  { knobs, tokens, accounts }: Stand,
  exchange: Exchange,
  home: Registry,
  accessKeyId: string,
  input: JsonObject,
): void {
  if (home.isPublic) {
    const { authorizationToken, expiresAt } = tokens.mint(home, accessKeyId, knobs.tokenTtl, knobs.tokenSize)
    succeed(exchange, { authorizationData: { authorizationToken, expiresAt: expiresAt / 1000 } })
    return
  }
  const ids = Array.isArray(input['registryIds']) ? input['registryIds'].map(asText) : [home.account]
  const authorizationData = ids.map(id => {
    const registry = accounts.all.find(each => each.account === id && each.region === home.region) ?? home
    const token = tokens.mint(registry, accessKeyId, knobs.tokenTtl, knobs.tokenSize)
    return {
      authorizationToken: token.authorizationToken,
      expiresAt: knobs.expiresAt ?? token.expiresAt / 1000,
      proxyEndpoint: `https://${registry.host}`,
    }
  })
  succeed(exchange, { authorizationData })
}

function createRepository({ accounts }: Stand, exchange: Exchange, first: Registry, input: JsonObject): void {
  const id = asText(input['registryId'])
  const home = accounts.all.find(each => each.account === id && each.region === first.region) ?? first
  const name = asText(input['repositoryName']) ?? ''
  if (!/^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/.test(name)) {
    const text = `Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression'`
    fail(exchange, 400, 'InvalidParameterException', text)
    return
  }
  if (home.repositories.has(name)) {
    const text = `The repository with name '${name}' already exists in the registry with id '${home.account}'`
    fail(exchange, 400, 'RepositoryAlreadyExistsException', text)
    return
  }
  const created = home.createRepository(name, input['imageTagMutability'] === 'IMMUTABLE')
  created.settings = input
  succeed(exchange, { repository: describe(home, name, created.immutable) })
}

function describe(home: Registry, name: string, immutable: boolean): JsonObject {
  return {
    repositoryArn: `arn:aws:ecr:${home.region}:${home.account}:repository/${name}`,
    registryId: home.account,
    repositoryName: name,
    repositoryUri: `${home.host}/${name}`,
    createdAt: Date.now() / 1000,
    imageTagMutability: immutable ? 'IMMUTABLE' : 'MUTABLE',
  }
}

function succeed(exchange: Exchange, output: JsonObject): void {
  say(exchange, 200, output)
}

function fail(exchange: Exchange, status: number, type: string, message: string): void {
  say(exchange, status, { __type: type, message })
}

function say({ response }: Exchange, status: number, output: JsonObject): void {
  const body = JSON.stringify(output)
  response.writeHead(status, {
    'x-amzn-RequestId': randomUUID(),
    'Content-Type': 'application/x-amz-json-1.1',
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
}

function header(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value : ''
}
