import t from 'tap'
import { blobStoreConformance } from './conformance.js'
import { MemoryStore } from './support/memory-store.js'

t.test('a blob store in memory, which stands in for the one on disk', t => {
  blobStoreConformance(t, async () => new MemoryStore())
  t.end()
})
