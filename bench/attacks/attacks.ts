import type { Attack } from './attack.js'
import { hostileManifestsRun } from './cases/hostile-manifests.js'
import { longQueries } from './cases/long-queries.js'
import { manyKeysByAccept } from './cases/many-keys.js'
import { nestedBundle } from './cases/nested-bundle.js'
import { none } from './cases/none.js'
import { nothingRead } from './cases/nothing-read.js'
import { repeatedChild } from './cases/repeated-child.js'
import { strangersAsk } from './cases/strangers-ask.js'
import { unfinishedManifests } from './cases/unfinished-manifests.js'
import { unfinishedUpload } from './cases/unfinished-upload.js'

/** All of them, in the order in which they are run. */
export const ATTACKS: readonly Attack[] = [
  none,
  repeatedChild,
  nestedBundle,
  manyKeysByAccept,
  strangersAsk,
  nothingRead,
  unfinishedManifests,
  longQueries,
  unfinishedUpload,
  hostileManifestsRun,
]
