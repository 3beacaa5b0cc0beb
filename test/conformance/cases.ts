import type { Case } from './case.js'
import { base } from './cases/base.js'
import { chunks } from './cases/chunks.js'
import { discovery } from './cases/discovery.js'
import { errors } from './cases/errors.js'
import { management } from './cases/management.js'
import { manifests } from './cases/manifests.js'
import { mounts } from './cases/mount.js'
import { pull } from './cases/pull.js'
import { push } from './cases/push.js'
import { ranges } from './cases/ranges.js'
import { referrers } from './cases/referrers.js'

/** What the distribution-spec (1.1 and its main branch) asks of a registry, in our words. */
export const CASES: readonly Case[] = [
  ...base,
  ...pull,
  ...ranges,
  ...push,
  ...chunks,
  ...manifests,
  ...mounts,
  ...discovery,
  ...referrers,
  ...management,
  ...errors,
]
