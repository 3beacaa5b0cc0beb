import t, { type Test } from 'tap'
import { sendRaw, statusOf } from '../support/raw.js'
import { attacks, countOf } from './support/attacks.js'
import { judge } from './support/canonical.js'
import { FRAMINGS } from './support/framings.js'
import { startHaproxy, startNginx, type Front } from './support/fronts.js'
import { MUTANTS } from './support/mutants.js'
import { get, hostileMirror, HEAD, VALID } from './support/valid-requests.js'

t.setTimeout(7_200_000)

t.test('requests that nobody changed are carried out, so that a refusal means something', async t => {
  const tally = await judge(await hostileMirror(t), VALID)
  t.match(tally, { attacks: VALID.length, answers: 27, upstream: 26 }, 'all but that of /v2/')
})

t.test('whatever frames a request, one reader sees what the other sees', async t => {
  const tally = await judge(await hostileMirror(t), attacks('H1', FRAMINGS, MUTANTS))
  t.equal(tally.attacks, countOf('H1'))
  t.ok(tally.upstream > 20)
})

t.test('r01: nothing behind a request that the gate refuses is carried out', async t => {
  const mirror = await hostileMirror(t)
  await mirror.fetch('/v2/team/app/tags/list')
  const before = mirror.ecr.requests.length
  for (const refused of [
    get('a', 'Content-Length: 5\r\n') + 'layer',
    get('a', 'Host: other\r\n'),
    get('a', 'Connection: upgrade, authorization\r\nUpgrade: h2c\r\n'),
    get('a', 'Expect: more\r\n'),
    `POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\n${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  ]) {
    const answer = await sendRaw(mirror.url, refused + get('z') + get('y'))
    t.match(answer, /^HTTP\/1\.1 (?:400|417|501) /)
    t.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1, 'one answer')
    t.match(answer, /\r\nconnection: close\r\n/i)
  }
  t.equal(mirror.ecr.requests.length, before)
})

for (const [name, start] of [
  ['nginx', startNginx],
  ['haproxy', startHaproxy],
] as const) {
  t.test(
    `behind ${name}: what it takes for a request the mirror takes for one, and nothing else`,
    async t => {
      const mirror = await hostileMirror(t)
      await behind(t, mirror, await start(t, mirror.url))
    },
  )
}

async function behind(
  t: Test,
  mirror: Awaited<ReturnType<typeof hostileMirror>>,
  front: Front,
): Promise<void> {
  const victim = `GET /v2/team/app/tags/list HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`
  await mirror.fetch('/v2/team/app/tags/list')
  mirror.ecr.requests.length = 0
  const misled: string[] = []
  for (const attack of FRAMINGS) {
    await front.send(attack)
    const answer = await sendRaw(front.url, victim)
    if (statusOf(answer) !== 200 || !answer.includes('"name":"team/app"')) misled.push(attack)
  }
  t.same(misled, [], 'the next client has its own answer')
  await mirror.ecr.settled()
  const passed = await front.passed()
  const operations = mirror.ecr.requests.filter(({ at }) => at === 'registry')
  const unknown = operations.filter(({ method, url }) => {
    const index = passed.indexOf(`${method} ${url}`)
    if (index >= 0) passed.splice(index, 1)
    return index < 0
  })
  t.same(
    unknown.map(({ method, url }) => `${method} ${url}`),
    [],
    'each was passed on, once',
  )
  t.ok(operations.length > FRAMINGS.length, 'those of the attacks among them')
}
