import { hiddenNames } from '../config/hidden-names.js'
import type { Config } from '../config/schema.js'
import { warning, type Finding } from './finding.js'

/** Names of upstreams by which a client reaches another repository than it may mean; nothing where there are none. */
export function checkNames(config: Config): Finding[] {
  return hiddenNames(config).map(line =>
    warning(
      'names',
      line,
      'if the default registry has such repositories, or may get them, give those upstreams other names',
    ),
  )
}
