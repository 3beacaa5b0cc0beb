import t from 'tap'
import { layerBucketHosts, parseEcrHost, type PrivateEcrHost } from '../../src/upstream/ecr-host.js'

const PRIVATE: [string, Partial<PrivateEcrHost>, string][] = [
  [
    '123456789012.dkr.ecr.us-east-1.amazonaws.com',
    { region: 'us-east-1', fips: false, dualStack: false },
    'amazonaws.com',
  ],
  [
    '123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com',
    { region: 'us-gov-west-1', fips: true },
    'amazonaws.com',
  ],
  ['123456789012.dkr-ecr.eu-west-1.on.aws', { region: 'eu-west-1', dualStack: true }, 'amazonaws.com'],
  ['123456789012.dkr-ecr-fips.us-east-2.on.aws', { fips: true, dualStack: true }, 'amazonaws.com'],
  ['123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn', { region: 'cn-north-1' }, 'amazonaws.com.cn'],
  ['123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn', { dualStack: true }, 'amazonaws.com.cn'],
  ['123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu', { region: 'eusc-de-east-1' }, 'amazonaws.eu'],
  ['123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov', {}, 'c2s.ic.gov'],
  ['123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov', {}, 'sc2s.sgov.gov'],
  ['123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk', {}, 'cloud.adc-e.uk'],
  ['123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov', {}, 'csp.hci.ic.gov'],
  [
    '123456789012.DKR.ECR.US-EAST-1.AMAZONAWS.COM',
    { host: '123456789012.dkr.ecr.us-east-1.amazonaws.com' },
    'amazonaws.com',
  ],
]

for (const [host, expected, dnsSuffix] of PRIVATE) {
  t.test(`${host} is a private registry`, t => {
    t.match(parseEcrHost(host), { kind: 'private', account: '123456789012', dnsSuffix, ...expected })
    t.end()
  })
}

for (const host of ['public.ecr.aws', 'ecr-public.aws.com']) {
  t.test(`${host} is ECR Public`, t => {
    t.same(parseEcrHost(host), { kind: 'public', host })
    t.end()
  })
}

for (const host of [
  '',
  'docker.io',
  '12345678901.dkr.ecr.us-east-1.amazonaws.com',
  '123456789012.dkr.ecr.us-east-1.amazonaws.com:443',
  '123456789012.dkr.ecr.us-east-1.amazonaws.com.',
  '123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example',
  'evil.123456789012.dkr.ecr.us-east-1.amazonaws.com',
  '123456789012.dkr.ecr.us-east-1.amazonaws.com/x',
  '123456789012.dkr.ecr.us-east-1.amazonaws.comm',
  '123456789012.dkrxecr.us-east-1.amazonaws.com',
  '123456789012.dkr-ecr.us-east-1.amazonaws.com',
  '123456789012.dkr.ecr.us-east-1.on.aws',
  '123456789012.dkr.ecr.us.east.1.amazonaws.com',
]) {
  t.test(`"${host}" is no ECR host`, t => {
    t.equal(parseEcrHost(host), undefined)
    t.end()
  })
}

/** Each differs from a true host in one way. */
function lookAlikes(): string[] {
  const hosts = PRIVATE.map(([host]) => host.toLowerCase())
  return [
    ...hosts.map(host => `${host}.evil.example`),
    ...hosts.map(host => `evil.${host}`),
    ...hosts.map(host => `${host}@evil.example`),
    ...hosts.map(host => `user@${host}`),
    ...hosts.map(host => `${host}:443`),
    ...hosts.map(host => host.replace(/\.([^.]+)$/, '-$1')),
    ...hosts.map(host => host.replace('123456789012', '12345678901')),
    ...hosts.map(host => host.replace('123456789012', '1234567890123')),
    ...hosts.map(host => host.replace('ecr', 'eсr')),
    ...hosts.map(host => host.replace('dkr', 'dkr.evil')),
    ...hosts.map(host => `${host}\n`),
    ...hosts.map(host => ` ${host}`),
    ...['public.ecr.aws', 'ecr-public.aws.com'].flatMap(host => [
      `x.${host}`,
      `${host}.example`,
      `${host}:443`,
      `${host}/`,
      host.replaceAll('.', '-'),
      host.replace('public', 'pub1ic'),
    ]),
  ]
}

t.test('more than a hundred hosts that look like one are none', t => {
  const all = new Set(lookAlikes())
  t.ok(all.size > 100)
  t.same(
    [...all].filter(host => parseEcrHost(host)),
    [],
  )
  t.end()
})

t.test('layers come from the bucket of the region and partition alone', t => {
  const host = (text: string): PrivateEcrHost => parseEcrHost(text) as PrivateEcrHost
  t.same(layerBucketHosts(host('123456789012.dkr-ecr.eu-west-1.on.aws')), [
    'prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com',
    'prod-eu-west-1-starport-layer-bucket.s3-eu-west-1.amazonaws.com',
  ])
  t.same(layerBucketHosts(host('123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn')), [
    'prod-cn-north-1-starport-layer-bucket.s3.cn-north-1.amazonaws.com.cn',
    'prod-cn-north-1-starport-layer-bucket.s3-cn-north-1.amazonaws.com.cn',
  ])
  t.end()
})
