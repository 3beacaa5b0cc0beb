import t from 'tap'
import { refuseSecrets, refuseStrays, type Sent } from './mirror.js'
import { canariesIn, searchFor } from './canaries.js'

t.test('a secret in the log of any mirror under test fails its test', async t => {
  const lines = Array.from({ length: 2500 }, (_, number) => ({ number, deep: { text: 'all is well' } }))
  refuseSecrets(lines, ['canary"with a quote'])
  lines[2400] = { number: 1, deep: { text: 'of canary"with a quote here' } }
  t.throws(() => refuseSecrets(lines, ['other', 'canary"with a quote']), {
    message: /has a secret in it.*canary/,
  })
})

t.test('a secret that any mirror under test sends where it does not belong fails its test', async t => {
  const [login, token] = ['Y2k6Y29ycmVjdA==', 'QVdTOnRoZS10b2tlbg==']
  const sent = (at: Sent['at'], url: string, ...rawHeaders: string[]): Sent => ({ at, url, rawHeaders })
  const right = [
    sent('registry', '/v2/', 'Authorization', `Basic ${token}`),
    sent('api', '/', 'Authorization', 'AWS4-HMAC-SHA256 Credential=x'),
    sent('s3', '/layer?X-Amz-Signature=1'),
  ]
  refuseStrays(right, [login])
  for (const wrong of [
    sent('registry', '/v2/', 'Authorization', `Basic ${login}`),
    sent('s3', '/layer', 'X-Forwarded-User', `Basic ${login}`),
    sent('s3', '/layer', 'authorization', 'anything'),
    sent('s3', `/layer?token=${token}`),
    sent('api', '/', 'cookie', token),
  ])
    t.throws(() => refuseStrays([...right, wrong], [login]), JSON.stringify(wrong))
})

t.test('a secret is found however it is written', async t => {
  const secret = 'ci:päss/w+rd 7'
  const search = searchFor([{ kind: 'it', text: secret }])
  const raw = Buffer.from(secret)
  for (const before of ['', 'a', 'ab', 'abc']) {
    for (const after of ['', 'a', 'ab']) {
      const whole = Buffer.concat([Buffer.from(before), raw, Buffer.from(after)])
      for (const encoding of ['base64', 'base64url', 'hex'] as const)
        t.ok(search(whole.toString(encoding)).length > 0, `${encoding} within ${before}…${after}`)
    }
  }
  for (const text of [`x${secret}x`, `?x=${encodeURIComponent(secret)}&`, raw.toString('hex').toUpperCase()])
    t.match(search(text), [{ kind: 'it' }], text)
  t.same(search('ci:other'), [])
})

t.test('what signs a request is found on the wire', async t => {
  const token = Buffer.from('AWS:its-password').toString('base64')
  t.match(canariesIn(`GET /x?X-Amz-Signature=0a1b HTTP/1.1\r\nauthorization: Basic ${token}\r\n\r\n`), [
    { kind: 'ECR token', text: token },
    { kind: 'ECR token', text: 'its-password' },
    { kind: 'X-Amz-Signature', text: '0a1b' },
  ])
})
