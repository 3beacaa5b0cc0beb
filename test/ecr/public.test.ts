import t from 'tap'
import { ask } from './ask.js'
import { startEcr } from './ecr.js'

const PUBLIC = { account: 'public', region: 'us-east-1' }
const TOKEN = '/token/?service=public.ecr.aws&scope=aws'
const host = 'public.ecr.aws'

t.test(
  'ECR Public wants a bearer token, which anybody gets, and refuses an old one as a bad request',
  async t => {
    const ecr = await startEcr({ accounts: [{ account: '123456789012', region: 'us-east-1' }, PUBLIC] })
    t.teardown(() => ecr.close())
    const image = await ecr.putImage('alias/app', '1', PUBLIC)
    const path = `/v2/alias/app/manifests/${image.digest}`

    const stranger = await ask(ecr, path, { host, authorization: null })
    t.equal(stranger.status, 401)
    t.match(
      stranger.headers['www-authenticate'],
      'Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"',
    )
    t.equal((await ask(ecr, path, { host })).status, 400, "a private registry's token is none")

    const bearer = async (authorization: string | null): Promise<string> => {
      const { token } = (await ask(ecr, TOKEN, { host, authorization })).json() as { token: string }
      return `Bearer ${token}`
    }
    const anonymous = await bearer(null)
    t.equal((await ask(ecr, path, { host, authorization: anonymous })).status, 200)
    const push = { host, method: 'POST' }
    const uploads = '/v2/alias/app/blobs/uploads/'
    t.equal((await ask(ecr, uploads, { ...push, authorization: anonymous })).status, 403)
    const known = await bearer(`Basic ${ecr.token(PUBLIC).authorizationToken}`)
    t.equal((await ask(ecr, uploads, { ...push, authorization: known })).status, 202)

    ecr.expireTokens()
    const expired = await ask(ecr, path, { host, authorization: anonymous })
    t.equal(expired.status, 400)
    t.equal(expired.headers['www-authenticate'], undefined)
    t.equal((await ask(ecr, TOKEN, { host, authorization: 'Basic QVdTOng=' })).status, 401)
    t.equal(
      (await ask(ecr, TOKEN, { authorization: null })).status,
      404,
      'a private registry has no such thing',
    )
  },
)
