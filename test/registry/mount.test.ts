import t from 'tap'
import { startMirror } from '../support/mirror.js'
import { digestOf } from '../support/pushing.js'

const DIGEST = `sha256:${'a'.repeat(64)}`

t.test('a mount goes upstream only from the same registry, by its name there', async t => {
  const { ecr, fetch } = await startMirror(t, {
    upstream: { repositoryPrefix: 'p' },
    settings: { policy: [{ principals: ['*'], repositories: ['team/**'], actions: ['pull', 'push'] }] },
  })
  ecr.createRepository('p/team/app')
  const asked = async (query: string): Promise<URLSearchParams> => {
    const answer = await fetch(`/v2/team/app/blobs/uploads/?${query}`, { method: 'POST' })
    t.equal(answer.status, 202, query)
    const { url } = ecr.requests.at(-1)!
    t.match(url, /^\/v2\/p\/team\/app\/blobs\/uploads\//)
    return new URLSearchParams(url.split('?')[1])
  }
  for (const from of ['team/base', 'main/team/base', `${ecr.host}/team/base`]) {
    const query = await asked(`mount=${DIGEST}&from=${from}`)
    t.same([query.get('mount'), query.get('from')], [DIGEST, 'p/team/base'], from)
  }
  const both = await asked(`mount=${DIGEST}&from=team/base&digest=${DIGEST}`)
  t.same([both.get('mount'), both.get('digest')], [DIGEST, null], 'a 201 is to mean one of them')
  for (const query of [
    `mount=${DIGEST}`,
    `mount=${DIGEST}&from=quay.io/team/base`,
    `mount=${DIGEST}&from=secret/base`,
    'from=team/base',
  ])
    t.same(
      [...(await asked(query)).keys()].filter(key => key === 'mount'),
      [],
      `${query} is an ordinary upload`,
    )
})

t.test('a mount that cannot be is an ordinary upload, and ECR hears nothing of it', async t => {
  const { ecr, fetch } = await startMirror(t, { upstream: { repositoryPrefix: 'p'.repeat(50) } })
  const name = `${'p'.repeat(50)}/team/app`
  ecr.createRepository(name)
  for (const query of [
    `mount=${DIGEST}&from=`,
    `mount=${DIGEST}&from`,
    `mount=${DIGEST}&from=Team/Base`,
    `mount=${DIGEST}&from=team//base`,
    `mount=${DIGEST}&from=../base`,
    `mount=${DIGEST}&from=${'a/'.repeat(200)}a`,
    `mount=${DIGEST}&from=${'a'.repeat(4000)}`,
    `mount=${DIGEST}&from=${'a'.repeat(220)}`,
    `mount=${DIGEST}&from=210987654321.dkr.ecr.us-east-1.amazonaws.com/team/base`,
    'mount=&from=team/base',
    'mount=sha256:abc&from=team/base',
    `mount=md5:${'a'.repeat(32)}&from=team/base`,
    `mount=sha256:${'A'.repeat(64)}&from=team/base`,
    'mount=nonsense&from=&digest-algorithm=sha256',
  ]) {
    const answer = await fetch(`/v2/team/app/blobs/uploads/?${query}`, { method: 'POST' })
    t.equal(answer.status, 202, query)
    t.ok(answer.headers.get('location'))
    t.notMatch(ecr.requests.at(-1)?.url, /mount|from/)
  }
})

t.test('a mount that cannot be does not take the digest of a whole blob away', async t => {
  const { ecr, fetch } = await startMirror(t, { ecr: { knobs: { singlePost: true } } })
  ecr.createRepository('team/app')
  const body = Buffer.from('a layer')
  const query = `digest=${digestOf(body)}&mount=${DIGEST}&from=`
  const answer = await fetch(`/v2/team/app/blobs/uploads/?${query}`, { method: 'POST', body })
  t.equal(answer.status, 201)
  t.ok(ecr.blob('team/app', digestOf(body)))
  const invalid = await fetch('/v2/team/app/blobs/uploads/?digest=nonsense', { method: 'POST', body })
  t.equal(invalid.status, 400, 'what a blob is to be checked by has to be a digest')
})
