import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { z } from 'zod'
import { succeed } from '../clients/support/run-client.js'
import { isInstalled } from '../support/installed.js'

// Its exports are not such that an import could name them.
const { parseToObject } = createRequire(import.meta.url)('hcl2-parser') as {
  parseToObject: (text: string) => unknown
}

const deploy = fileURLToPath(new URL('../../deploy', import.meta.url))
const folder = `${deploy}/terraform`
const files = (await readdir(folder)).filter(name => name.endsWith('.tf'))
const texts = new Map<string, string>()
for (const file of files) texts.set(file, await readFile(`${folder}/${file}`, 'utf8'))
const all = [...texts.values()].join('\n')

/** What the parser makes of a block: by type and name, a list of those that have both in common. */
const blocks = z.record(z.string(), z.array(z.record(z.string(), z.unknown())))
const fileSchema = z.strictObject({
  terraform: z.array(z.unknown()).optional(),
  variable: blocks.optional(),
  locals: z.array(z.record(z.string(), z.unknown())).optional(),
  resource: z.record(z.string(), blocks).optional(),
  output: blocks.optional(),
  provider: blocks.optional(),
  module: blocks.optional(),
})

function parse(name: string, text: string) {
  // On bad syntax it gives null, with what is wrong behind it.
  const [parsed, problem] = z.tuple([z.unknown(), z.unknown()]).parse(parseToObject(text))
  if (parsed === null) throw new Error(`${name}: ${JSON.stringify(problem)}`)
  return fileSchema.parse(parsed)
}

const parsed = [...texts].map(([name, text]) => parse(name, text))
const variables = new Map(parsed.flatMap(({ variable = {} }) => Object.entries(variable)))
const locals = new Set(parsed.flatMap(file => (file.locals ?? []).flatMap(each => Object.keys(each))))
const resources = new Set(
  parsed.flatMap(({ resource = {} }) =>
    Object.entries(resource).flatMap(([type, named]) => Object.keys(named).map(name => `${type}.${name}`)),
  ),
)
const uses = (pattern: RegExp, text = all) =>
  [...new Set([...text.matchAll(pattern)].map(([, name = '']) => name))].sort()

t.test('what is used is declared, and what is declared is used', async t => {
  t.same(uses(/\bvar\.(\w+)/g), [...variables.keys()].sort())
  t.same(uses(/\blocal\.(\w+)/g), [...locals].sort())
  const used = uses(/\b(aws_\w+\.\w+)/g).filter(name => name !== 'aws.other_account')
  for (const name of used) t.ok(resources.has(name), name)
  for (const [name, [variable]] of variables) t.match(variable, { description: String, type: String }, name)
})

t.test('the module that its README shows is given what it needs, by names that it has', async t => {
  const [, example = ''] = /```hcl\n(.*?)```/s.exec(await readFile(`${folder}/README.md`, 'utf8')) ?? []
  const { module } = parse('README.md', example)
  const given = Object.keys(module?.['ecr_mirror']?.[0] ?? {}).filter(
    name => !['source', 'providers'].includes(name),
  )
  t.ok(given.length > 0)
  for (const name of given) t.ok(variables.has(name), name)
  for (const [name, [variable]] of variables)
    if (!('default' in (variable ?? {}))) t.ok(given.includes(name), name)
  const [, used] = /module\.ecr_mirror\.(\w+)/.exec(example) ?? []
  t.ok(parsed.some(({ output }) => output?.[used ?? '']))
})

const installed = isInstalled('terraform') ? {} : { skip: 'terraform is missing here; Debian has none' }

t.test('it is formatted as Terraform does', installed, async () => {
  await succeed('terraform', ['fmt', '-check', '-recursive', '-diff', folder])
})

t.test('Terraform makes of the policies in deploy/iam those of the role', installed, async t => {
  // The part that needs no provider, which would have to be fetched.
  const directory = t.testdir()
  const part = join(directory, 'terraform')
  await cp(`${deploy}/iam`, join(directory, 'iam'), { recursive: true, dereference: true })
  await mkdir(part)
  for (const file of ['variables.tf', 'policies.tf']) await cp(`${folder}/${file}`, join(part, file))
  const outputs = ['policy', 'other_account_policy', 'trust']
  await writeFile(
    join(part, 'outputs.tf'),
    outputs.map(name => `output "${name}" {\n  value = local.${name}\n}\n`).join(''),
  )
  const terraform = (...args: string[]) => succeed('terraform', [`-chdir=${part}`, ...args])
  await terraform('init', '-backend=false', '-no-color')

  const evaluate = async (settings: object) => {
    await writeFile(join(part, 'terraform.tfvars.json'), JSON.stringify(settings))
    await rm(join(part, 'terraform.tfstate'), { force: true })
    await terraform('apply', '-auto-approve', '-no-color')
    const said = z
      .record(z.string(), z.object({ value: z.string() }))
      .parse(JSON.parse(await terraform('output', '-json')))
    return (name: string): unknown => JSON.parse(said[name]?.value ?? '')
  }
  const iam = async (file: string) =>
    z
      .object({ Statement: z.array(z.record(z.string(), z.unknown())) })
      .parse(JSON.parse(await readFile(`${deploy}/iam/${file}`, 'utf8'))).Statement
  const over = (statements: Record<string, unknown>[], repositories: string[]) =>
    statements.map(each => ({ ...each, Resource: each['Resource'] === '*' ? ['*'] : repositories }))

  const pull = ['arn:aws:ecr:us-east-1:123456789012:repository/*']
  const push = ['arn:aws:ecr:us-east-1:123456789012:repository/team/*']
  const other = ['arn:aws:ecr:eu-west-1:210987654321:repository/base/*']
  const Version = '2012-10-17'
  const pulls = await evaluate({ pull_repositories: pull })
  t.same(pulls('policy'), { Version, Statement: over(await iam('pull.json'), pull) })
  const [ec2] = await iam('trust-ec2.json')
  t.same(pulls('trust'), { Version, Statement: [{ ...ec2, Action: ['sts:AssumeRole'] }] })

  const issuer = 'oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE'
  const whole = await evaluate({
    pull_repositories: pull,
    push_repositories: push,
    other_account_repositories: other,
    trusted_services: ['pods.eks'],
    oidc_provider_arn: `arn:aws:iam::123456789012:oidc-provider/${issuer}`,
  })
  t.same(whole('policy'), {
    Version,
    Statement: [...over(await iam('pull.json'), pull), ...over(await iam('push.json'), push)],
  })
  t.same(whole('other_account_policy'), { Version, Statement: over(await iam('pull.json'), other) })
  const [podIdentity] = await iam('trust-eks-pod-identity.json')
  const [irsa] = await iam('trust-eks-irsa.json')
  t.match(whole('trust'), {
    Version,
    Statement: [
      { Principal: podIdentity?.['Principal'], Action: podIdentity?.['Action'] },
      {
        Principal: irsa?.['Principal'],
        Action: ['sts:AssumeRoleWithWebIdentity'],
        Condition: irsa?.['Condition'],
      },
    ],
  })
})
