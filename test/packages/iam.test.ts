import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { z } from 'zod'
import { loadConfig } from '../../src/config/load.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = `${root}deploy/iam`
const files = (await readdir(folder)).filter(name => name.endsWith('.json')).sort()
const readme = await readFile(`${folder}/README.md`, 'utf8')

const oneOrMore = z.union([z.string().transform(one => [one]), z.array(z.string()).min(1)])
const policySchema = z.strictObject({
  Version: z.literal('2012-10-17'),
  Statement: z
    .array(
      z.strictObject({
        Sid: z
          .string()
          .regex(/^[A-Za-z0-9]+$/)
          .optional(),
        Effect: z.literal('Allow'),
        Principal: z.partialRecord(z.enum(['AWS', 'Service', 'Federated']), z.string()).optional(),
        Action: oneOrMore,
        Resource: oneOrMore.optional(),
        Condition: z.strictObject({ StringEquals: z.record(z.string(), z.string()) }).optional(),
      }),
    )
    .min(1),
})

const policyOf = async (file: string) =>
  policySchema.parse(JSON.parse(await readFile(`${folder}/${file}`, 'utf8')))

t.test('the policies to pull and to push are those of the README', async t => {
  const main = await readFile(`${root}README.md`, 'utf8')
  const [section = ''] = /^## AWS permissions$.*?(?=^## )/ms.exec(main) ?? []
  const shown = [...section.matchAll(/^```json\n(.*?)^```/gms)].map(([, text]) => text)
  t.same(shown, [
    await readFile(`${folder}/pull.json`, 'utf8'),
    await readFile(`${folder}/push.json`, 'utf8'),
  ])
})

t.test(
  'who may act stands in trust policies, on what in the others, and nothing is given to all',
  async t => {
    for (const file of files) {
      const { Statement } = await policyOf(file)
      for (const { Principal, Action, Resource } of Statement) {
        t.notOk(
          Action.some(action => action.includes('*')),
          `${file}: actions by name`,
        )
        if (file.startsWith('trust-')) {
          t.equal(Resource, undefined, `${file}: a trust policy has no resource`)
          t.ok(Principal, `${file}: but a principal`)
          t.notOk(Object.values(Principal ?? {}).includes('*'), `${file}: which is not everybody`)
          t.ok(
            Action.every(action => /^sts:(AssumeRole|AssumeRoleWithWebIdentity|TagSession)$/.test(action)),
            file,
          )
        } else {
          t.equal(Principal, undefined, `${file}: it is of the role`)
          if (Resource?.includes('*')) t.same(Action, ['ecr:GetAuthorizationToken'], file)
        }
      }
    }
  },
)

t.test('each way to run the mirror has the trust that it needs', async t => {
  const [ec2] = (await policyOf('trust-ec2.json')).Statement
  t.match(ec2, { Principal: { Service: 'ec2.amazonaws.com' }, Action: ['sts:AssumeRole'] })
  const [ecs] = (await policyOf('trust-ecs.json')).Statement
  t.match(ecs, { Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: ['sts:AssumeRole'] })
  const [podIdentity] = (await policyOf('trust-eks-pod-identity.json')).Statement
  t.match(podIdentity, {
    Principal: { Service: 'pods.eks.amazonaws.com' },
    Action: ['sts:AssumeRole', 'sts:TagSession'],
  })
  const [irsa] = (await policyOf('trust-eks-irsa.json')).Statement
  const issuer = irsa?.Principal?.Federated?.replace(/^arn:aws:iam::123456789012:oidc-provider\//, '')
  t.match(irsa, {
    Action: ['sts:AssumeRoleWithWebIdentity'],
    Condition: {
      StringEquals: {
        [`${issuer}:aud`]: 'sts.amazonaws.com',
        [`${issuer}:sub`]: 'system:serviceaccount:ecr-mirror:ecr-mirror',
      },
    },
  })
})

t.test('the two sides of another account fit each other and the configuration for two accounts', async t => {
  const [assume] = (await policyOf('assume-other-account.json')).Statement
  const [trust] = (await policyOf('trust-other-account.json')).Statement
  const { config } = await loadConfig({ env: {}, flags: { config: `${root}config/two-accounts.yaml` } })
  const roles = config.upstreams.flatMap(({ credentials }) => credentials.roleArn ?? [])
  t.same(assume?.Resource, roles)
  t.same(assume?.Action, trust?.Action)
  t.equal(trust?.Principal?.AWS, 'arn:aws:iam::123456789012:role/ecr-mirror')
})

t.test('its README has every file, and no other', async t => {
  const described = [...readme.matchAll(/^\| \[([\w.-]+)\]\(\1\)/gm)].map(([, file]) => file)
  t.same(described.sort(), files)
})
