import t from 'tap'
import { digestOf } from '../../../src/oci/digest.js'
import { NO_TRAFFIC } from '../../../src/status/minutes.js'
import { livePart, notePage, page } from '../../../src/status/page/page.js'
import type { StatusView } from '../../../src/status/view.js'

const EVIL = `"'><img src=x onerror=alert(1)><script>alert(2)</script>\u202e`
const period = { traffic: NO_TRAFFIC, hitRate: undefined, saved: 0, money: undefined }
const query = { q: EVIL, sort: 'asked', page: 2 } as const
const image = {
  upstream: EVIL,
  repository: EVIL,
  name: EVIL,
  reference: EVIL,
  digest: EVIL,
  size: 5,
  platforms: [EVIL],
  complete: 'some',
} as const

const view: StatusView = {
  now: 1_000_000,
  since: 0,
  user: EVIL,
  seesNames: true,
  draining: true,
  inFlight: { requests: 1, connections: 2 },
  hour: period,
  day: period,
  columns: Array.from({ length: 48 }, () => NO_TRAFFIC),
  downloads: [
    {
      named: { digest: digestOf(Buffer.of()), repositories: [EVIL] },
      size: undefined,
      received: 0,
      readers: 1,
    },
  ],
  wanted: [{ name: EVIL, times: 3 }],
  largest: [image],
  images: {
    query,
    rows: [{ ...image, asked: 1 }],
    page: 2,
    pages: 3,
    found: 60,
    seen: 70,
    all: 80,
    bytes: 1,
    leftOut: 1,
    at: 0,
  },
  upstreams: [
    {
      named: { name: EVIL, host: EVIL },
      token: { usable: false, expiresIn: undefined, problem: 'denied' },
      awayFor: 5,
      connections: 0,
    },
  ],
  disk: {
    bytes: 1,
    maxBytes: 2,
    entries: 3,
    reservedBytes: 0,
    freeBytes: undefined,
    evictions: 0,
    evictedBytes: 0,
    integrityFailures: 0,
    readErrors: 0,
    writeErrors: 0,
    indexed: false,
    writePaused: EVIL,
  },
  scrub: undefined,
  errors: Array.from({ length: 8 }, () => ({
    at: 5,
    times: 2,
    what: EVIL,
    told: { text: EVIL, about: EVIL, user: EVIL },
  })),
}

t.test('no name and no text, wherever it stands, becomes part of the page', async t => {
  const options = { view, query, mirrorUrl: 'http://mirror.internal:5000' }
  for (const text of [page(options), livePart(options), notePage(EVIL, EVIL)]) {
    t.notMatch(text, /<img|<script>alert|\u202e/)
    const shown = text.replace(/<(style|script)>[^]*?<\/\1>/g, '')
    t.notMatch(shown, /"(?:'|&#39;)(?:>|&gt;)/, 'it ends no attribute')
    t.match(shown, '&lt;img src=x onerror=alert(1)&gt;')
  }
})

t.test('a user name is one word for the shell that the command is pasted into', async t => {
  const text = page({ view: { ...view, user: `a'b; id` }, query, mirrorUrl: 'http://m:5000' })
  t.match(text, `docker login m:5000 -u &#39;a&#39;\\&#39;&#39;b; id&#39;`)
})

t.test('what is renewed are parts of the page', async t => {
  const options = { view, query, mirrorUrl: 'http://mirror.internal:5000' }
  const ids = (text: string): string[] =>
    [...text.matchAll(/<\w+ id="([\w-]+)"[^>]* data-live/g)].map(([, id = '']) => id).sort()
  t.same(ids(livePart(options)), ids(page(options)))
  t.ok(ids(page(options)).length >= 9)
})
