import t from 'tap'
import {
  createUploadSessions,
  SESSION_LIFETIME,
  type UploadSession,
} from '../../src/registry/upload-session.js'
import { Secret } from '../../src/secret.js'

const session: UploadSession = {
  id: '1b2c',
  principal: 'ci',
  upstream: 'main',
  registry: '123456789012.dkr.ecr.us-east-1.amazonaws.com',
  name: 'team/app',
  repository: 'prefix/team/app',
  location: '/v2/prefix/team/app/blobs/uploads/xyz?a=b',
  offset: 42,
  expires: 1_000 + SESSION_LIFETIME,
}

t.test('a session is a path segment that says nothing and opens to what it was', async t => {
  const sessions = createUploadSessions(new Secret('secret'), () => 1_000)
  const sealed = sessions.seal(session)
  t.match(sealed, /^[A-Za-z0-9_-]+$/)
  t.notMatch(Buffer.from(sealed, 'base64url').toString('latin1'), /team|xyz|main/)
  t.same(sessions.open(sealed), session)
  t.not(sessions.seal(session), sealed, 'never the same twice')
})

t.test('whoever shares the key can go on, nobody else', async t => {
  const now = (): number => 1_000
  const sealed = createUploadSessions(new Secret('secret'), now).seal(session)
  t.same(createUploadSessions(new Secret('secret'), now).open(sealed), session)
  t.equal(createUploadSessions(new Secret('other'), now).open(sealed), undefined)
  t.equal(createUploadSessions(undefined, now).open(sealed), undefined)
  t.equal(
    createUploadSessions(undefined, now).open(createUploadSessions(undefined, now).seal(session)),
    undefined,
  )
})

t.test('every altered character, and every end missing or more, closes it', async t => {
  const sessions = createUploadSessions(new Secret('secret'), () => 1_000)
  const sealed = sessions.seal(session)
  const opened: number[] = []
  for (let at = 0; at < sealed.length; at++) {
    const other = sealed[at] === 'A' ? 'B' : 'A'
    if (sessions.open(sealed.slice(0, at) + other + sealed.slice(at + 1))) opened.push(at)
    if (sessions.open(sealed.slice(0, at))) opened.push(at)
  }
  t.same(opened, [])
  for (const odd of ['', 'A', `${sealed}A`, `${sealed}=`, `${sealed} `, 'x'.repeat(200)])
    t.equal(sessions.open(odd), undefined, odd.slice(-3))
  const loose = sealed.replaceAll('-', '+').replaceAll('_', '/')
  if (loose !== sealed) t.equal(sessions.open(loose), undefined, 'another spelling of the same bytes')
})

t.test('it ends', async t => {
  let now = 1_000
  const sessions = createUploadSessions(new Secret('secret'), () => now)
  const sealed = sessions.seal(session)
  now += SESSION_LIFETIME - 1
  t.ok(sessions.open(sealed))
  now += 1
  t.equal(sessions.open(sealed), undefined)
})

t.test('what was sealed is looked at again when it is opened', async t => {
  const sessions = createUploadSessions(new Secret('secret'), () => 1_000)
  const faults: Record<string, unknown>[] = [
    ...Object.keys(session).map(key => ({ [key]: undefined })),
    ...Object.keys(session).map(key => ({ [key]: {} })),
    { location: 'https://evil.example/v2/' },
    { location: 'v2/' },
    { offset: -1 },
    { offset: 0.5 },
  ]
  for (const fault of faults) {
    const sealed = sessions.seal({ ...session, ...fault })
    t.equal(sessions.open(sealed), undefined, JSON.stringify(fault))
  }
  for (const fine of [{ offset: 0 }, { location: '/' }]) {
    const sealed = sessions.seal({ ...session, ...fine })
    t.same(sessions.open(sealed), { ...session, ...fine })
  }
})

t.test('a session can be continued for a day', async t => {
  t.equal(SESSION_LIFETIME, 86_400_000)
  const sessions = createUploadSessions(undefined)
  t.ok(sessions.open(sessions.seal({ ...session, expires: Date.now() + 60_000 })))
  t.equal(sessions.open(sessions.seal({ ...session, expires: Date.now() - 1 })), undefined)
})
