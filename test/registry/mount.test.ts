import t from 'tap'
import { startMirror } from '../support/mirror.js'

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
