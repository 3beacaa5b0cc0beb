/** The stand-in for ECR in a process of its own, so that what it is burdened with holds nobody else up. */
import { startEcr } from '../../test/ecr/ecr.js'
import type { NumberedOrder, OrderAnswer, Reach } from './far-side-order.js'

const ecr = await startEcr()

async function follow(order: NumberedOrder): Promise<unknown> {
  switch (order.name) {
    case 'image': {
      const { repository, tag, layer } = order.of
      return ecr.putImage(repository, tag, {
        layers: [{ size: layer, seed: `${repository}:${tag}` }],
        label: tag,
      })
    }
    case 'manifest': {
      const { repository, tag, bytes, mediaType } = order.of
      return ecr.putManifest(repository, tag, Buffer.from(bytes), { mediaType })
    }
    case 'repository':
      ecr.createRepository(order.of.name)
      return undefined
    case 'knobs':
      Object.assign(ecr.knobs, order.of)
      return undefined
  }
}

process.on('message', (order: NumberedOrder) => {
  const { number } = order
  follow(order).then(
    gives => process.send?.({ number, gives } satisfies OrderAnswer),
    (error: unknown) => process.send?.({ number, error: String(error) } satisfies OrderAnswer),
  )
})
process.once('disconnect', () => process.exit())
process.send?.({ url: ecr.url, s3Host: ecr.s3Host, host: ecr.host } satisfies Reach)
