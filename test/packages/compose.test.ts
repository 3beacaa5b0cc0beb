import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { z } from 'zod'

const root = fileURLToPath(new URL('../..', import.meta.url))
const service = z.looseObject({
  init: z.literal(true),
  read_only: z.literal(true),
  cap_drop: z.tuple([z.literal('ALL')]),
  security_opt: z.tuple([z.literal('no-new-privileges:true')]),
  environment: z.record(z.string(), z.string().nullable()).optional(),
  volumes: z.array(z.looseObject({ type: z.string(), source: z.string(), target: z.string() })).optional(),
  stop_grace_period: z.string().optional(),
})
const composeSchema = z.looseObject({
  services: z.object({ mirror: service, try: service, 'stand-in': service }),
  volumes: z.record(z.string(), z.unknown()),
})

t.test(
  'each service runs with as little as it needs, and each mirror keeps its cache in a volume',
  async t => {
    const { services, volumes } = composeSchema.parse(
      parse(await readFile(`${root}docker-compose.yml`, 'utf8')),
    )
    const used = [services.mirror, services.try].map(({ environment, volumes = [] }) => {
      const at = environment?.['ECR_MIRROR_CACHE_DIRECTORY']
      const mounted = volumes.find(({ target, type }) => target === at && type === 'volume')
      t.ok(mounted, `a volume at ${at}`)
      return mounted?.source
    })
    t.same(used.sort(), Object.keys(volumes).sort(), 'one for each')
    const dockerfile = await readFile(`${root}Dockerfile`, 'utf8')
    t.match(
      dockerfile,
      `-m 700 /cache${services.mirror.environment?.['ECR_MIRROR_CACHE_DIRECTORY']}`,
      'where the image has a directory that is the mirror’s',
    )
    t.ok(Number.parseInt(services.mirror.stop_grace_period ?? '') > 25, 'it is given longer than a drain')
  },
)
