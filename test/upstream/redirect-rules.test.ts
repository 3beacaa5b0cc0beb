import t from 'tap'
import { PUBLIC_LAYER_HOSTS } from '../../src/upstream/ecr-host.js'
import { createRedirectRules } from '../../src/upstream/redirect-rules.js'

const BUCKET = 'prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com'
const byDefault = createRedirectRules(undefined, [BUCKET])
const listed = createRedirectRules([
  '*.s3.eu-west-1.amazonaws.com',
  'layers.internal',
  '127.0.0.1:9000',
  '[::1]:9000',
  's3-*.x.y',
  'plain.internal:80',
])

const rows: [rules: typeof byDefault, url: string, allowed: boolean][] = [
  [byDefault, `https://${BUCKET}/a?X-Amz-Signature=b`, true],
  [byDefault, `https://${BUCKET.toUpperCase()}/a`, true],
  [byDefault, `https://${BUCKET}:443/a`, true],
  [byDefault, `http://${BUCKET}/a`, false],
  [byDefault, `http://${BUCKET}:443/a`, false],
  [byDefault, `https://${BUCKET}:8443/a`, false],
  [byDefault, `https://user@${BUCKET}/a`, false],
  [byDefault, `https://user:password@${BUCKET}/a`, false],
  [byDefault, `https://:password@${BUCKET}/a`, false],
  [byDefault, `https://${BUCKET}.evil.example/a`, false],
  [byDefault, `https://${BUCKET}./a`, false],
  [byDefault, `https://evil.example/${BUCKET}`, false],
  [byDefault, `https://evil.example#${BUCKET}`, false],
  [byDefault, `https://evil.example\\@${BUCKET}/a`, false],
  [byDefault, `https://x${BUCKET}/a`, false],
  [byDefault, 'https://prod-us-east-1-starport-layer-bucket2.s3.us-east-1.amazonaws.com/a', false],
  [byDefault, 'https://prod-us-east-1-starport-layer-bucketxs3.us-east-1.amazonaws.com/a', false],
  [byDefault, 'https://169.254.169.254/latest/meta-data', false],
  [byDefault, 'https://127.0.0.1/', false],
  [byDefault, 'https://127.1/', false],
  [byDefault, 'https://[::ffff:127.0.0.1]/', false],
  [byDefault, 'file:///etc/passwd', false],
  [byDefault, `ftp://${BUCKET}/a`, false],
  [byDefault, `ftp://${BUCKET}:443/a`, false],
  [listed, `https://${BUCKET}/a`, false],
  [listed, 'https://bucket-1.s3.eu-west-1.amazonaws.com/a', true],
  [listed, 'https://a.b.s3.eu-west-1.amazonaws.com/a', false],
  [listed, 'https://s3-abc.x.y/', true],
  [listed, 'https://s3-a.bc.x.y/', false],
  [listed, 'https://layers.internal/a', true],
  [listed, 'http://layers.internal/a', false],
  [listed, 'http://127.0.0.1:9000/a', true],
  [listed, 'https://127.0.0.1:9000/a', true],
  [listed, 'http://127.0.0.1:9001/a', false],
  [listed, 'http://127.0.0.1/a', false],
  [listed, 'ftp://127.0.0.1:9000/a', false],
  [listed, 'http://plain.internal/a', true],
  [listed, 'https://plain.internal/a', false],
  [listed, 'http://0x7f.1:9000/a', true],
  [listed, 'http://[::1]:9000/a', true],
]

for (const [rules, url, allowed] of rows) {
  t.test(
    `a redirect to ${url} is ${allowed ? 'followed' : 'refused'} by ${rules === byDefault ? 'default' : 'the list'}`,
    t => {
      t.equal(rules.allows(new URL(url)), allowed)
      t.end()
    },
  )
}

t.test('only what was listed by its own name may lead to this machine', t => {
  t.equal(byDefault.trustOf(BUCKET, 443), 'private')
  t.equal(listed.trustOf('127.0.0.1', 9000), 'listed')
  t.equal(listed.trustOf('::1', 9000), 'listed')
  t.equal(listed.trustOf('layers.internal', 443), 'listed')
  t.equal(listed.trustOf('layers.internal', 8443), 'public')
  t.equal(listed.trustOf('b.s3.eu-west-1.amazonaws.com', 443), 'private')
  t.equal(listed.trustOf('elsewhere', 443), 'public')
  t.end()
})

t.test('blobs of ECR Public come from its two CloudFront hosts and no other', t => {
  const rules = createRedirectRules(undefined, PUBLIC_LAYER_HOSTS)
  for (const host of PUBLIC_LAYER_HOSTS) t.ok(rules.allows(new URL(`https://${host}/v2/x?Expires=1`)), host)
  for (const url of [
    'https://d111111abcdef8.cloudfront.net/',
    'https://cloudfront.net/',
    `http://${PUBLIC_LAYER_HOSTS[0]}/`,
    `https://${PUBLIC_LAYER_HOSTS[0]}.evil.example/`,
    `https://${PUBLIC_LAYER_HOSTS[0]}:8443/`,
  ])
    t.notOk(rules.allows(new URL(url)), url)
  t.end()
})
