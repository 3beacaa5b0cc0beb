import t from 'tap'
import type { Ecr } from '../ecr/ecr.js'
import { PUSH_CLIENTS, PushFailed } from '../support/push-clients.js'
import {
  holds,
  image,
  index,
  head,
  other,
  pullAll,
  REPOSITORY,
  startStage,
} from '../support/reading-and-writing.js'

const BEHIND: Record<string, (ecr: Ecr, repository: string) => void> = {
  'its repository was deleted and created anew': (ecr, repository) => ecr.recreateRepository(repository),
  'a lifecycle policy took it with its layers': (ecr, repository) => {
    ecr.expire(repository, 'prod')
    for (const { digest } of index.children) ecr.expire(repository, digest)
  },
  'it was archived': (ecr, repository) => ecr.archive(repository, 'prod'),
}

for (const [client, push] of Object.entries(PUSH_CLIENTS)) {
  t.test(`${client} pushes again what the upstream has lost: the upstream has it then`, async t => {
    const stage = await startStage(t)
    for (const [event, happens] of Object.entries(BEHIND)) {
      for (const [what, pushed] of Object.entries({ image, index })) {
        await t.test(`an ${what} after ${event}`, async t => {
          const repository = `team/${what}-${event.replaceAll(' ', '-')}`
          stage.ecr.createRepository(repository)
          const to = { ...stage.to, repository }
          await push(to, pushed, 'prod')
          await pullAll(stage.fetch, 'prod', pushed, repository)
          happens(stage.ecr, repository)
          await push(to, pushed, 'prod')
          await holds(t, stage.ecr, 'prod', pushed, repository)
          const path = `/v2/${repository}/manifests/prod`
          t.equal((await stage.read(path, { method: 'HEAD' })).status, 200)
        })
      }
    }
  })

  t.test(
    `${client} pushes what a tag stood for before it was moved at the upstream: it is moved back`,
    async t => {
      const stage = await startStage(t)
      for (const tag of ['prod', 'v1']) {
        await push(stage.to, other, 'other')
        await push(stage.to, image, tag)
        await pullAll(stage.fetch, tag, image)
        stage.ecr.moveTag(REPOSITORY, tag, 'other')
        await push(stage.to, image, tag)
        await holds(t, stage.ecr, tag, image)
        const read = await head(stage.read, `manifests/${tag}`)
        t.equal(read.headers.get('docker-content-digest'), image.digest)
      }
    },
  )

  t.test(
    `${client} pushes while the upstream answers 429: it fails rather than leave anything out`,
    async t => {
      const stage = await startStage(t)
      await push(stage.to, other, 'other')
      await push(stage.to, image, 'prod')
      await pullAll(stage.fetch, 'prod', image)
      stage.ecr.moveTag(REPOSITORY, 'prod', 'other')
      stage.clock.now += 2 * 3_600_000
      for (const action of ['BatchGetImage', 'BatchCheckLayerAvailability'] as const)
        stage.ecr.knobs.throttle[action] = { next: 100 }
      const failure: unknown = await push(stage.to, image, 'prod').catch((error: unknown) => error)
      t.ok(failure instanceof PushFailed && failure.status === 429)
      stage.ecr.knobs.throttle = {}
      await push(stage.to, image, 'prod')
      await holds(t, stage.ecr, 'prod', image)
    },
  )
}
