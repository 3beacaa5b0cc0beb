import type { Case } from '../case.js'
import { coldBlobPerConnection, coldBlobUnlimited } from './cold-blob.js'
import { crowd } from './crowd.js'
import { wholeImages } from './image.js'
import { memory } from './memory.js'
import { pushLayer } from './push-layer.js'
import { manifestsByDigest, manifestsByTag, smallBlobs } from './small-answers.js'
import { smallMiss } from './small-miss.js'
import { start } from './start.js'
import { warmBlobs } from './warm-blob.js'

export const CASES: readonly Case[] = [
  ...warmBlobs,
  smallBlobs,
  manifestsByDigest,
  manifestsByTag,
  coldBlobUnlimited,
  coldBlobPerConnection,
  crowd,
  pushLayer,
  ...wholeImages,
  smallMiss,
  start,
  memory,
]
