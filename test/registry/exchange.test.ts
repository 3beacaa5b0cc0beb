import type { FastifyRequest } from 'fastify'
import t from 'tap'
import {
  beginExchange,
  exchangeOf,
  knownExchange,
  repositoryTarget,
  type Rules,
} from '../../src/registry/exchange.js'
import type { RepositoryTarget } from '../../src/registry/target.js'

const request = (): FastifyRequest => ({ raw: {} }) as unknown as FastifyRequest

t.test('a request has one exchange, from when it passed the gate', async t => {
  const [one, other] = [request(), request()]
  const gone = new AbortController().signal
  const exchange = beginExchange(one, {} as Rules, () => gone)
  t.equal(exchangeOf(one), exchange)
  t.equal(exchangeOf({ raw: one.raw } as FastifyRequest), exchange, 'whichever object stands for it')
  t.equal(exchange.gone, gone)
  t.equal(knownExchange(other), undefined)
  t.throws(() => exchangeOf(other), { message: /did not pass the gate/ })
})

t.test("a handler gets only its own route's target", async t => {
  const asked = request()
  const exchange = beginExchange(asked, {} as Rules, () => new AbortController().signal)
  t.throws(() => repositoryTarget(asked, 'tags'), 'none yet')
  const target = { endpoint: { kind: 'tags', name: 'a' }, place: {} } as unknown as RepositoryTarget<'tags'>
  exchange.target = target
  t.equal(repositoryTarget(asked, 'tags'), target)
  t.throws(() => repositoryTarget(asked, 'manifest'), { message: /has another target/ })
  exchange.target = { ...target, place: undefined }
  t.throws(() => repositoryTarget(asked, 'tags'), 'without a repository')
})
