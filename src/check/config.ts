import { ConfigError } from '../config/config-error.js'
import { loadConfig, type ConfigSources } from '../config/load.js'
import type { Config } from '../config/schema.js'
import { failed, ok, type Finding, type Outcome } from './finding.js'

const NAME = 'config'

export interface CheckedConfig {
  readonly config: Config
  /** Why nobody can come in, where that is all that is wrong with it. */
  readonly nobody: readonly string[]
}

/** Whether the configuration is one with which a mirror starts. */
export async function checkConfig(sources: ConfigSources): Promise<Outcome<CheckedConfig>> {
  const problems: Finding[] = []
  let nobody: readonly string[] = []
  for (const withoutUsers of [false, true]) {
    try {
      const { config, file } = await loadConfig({ ...sources, withoutUsers })
      const from = file ?? 'flags and environment, without a file'
      const { length } = config.upstreams
      const detail = `${from}: valid, ${length} upstream${length === 1 ? '' : 's'}, ${config.cache ? 'with' : 'without'} a cache`
      return { findings: [ok(NAME, detail)], value: { config, nobody } }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      nobody = error.lines
      if (!withoutUsers) problems.push(...error.lines.map(problem))
    }
  }
  return { findings: problems, value: undefined }
}

function problem(line: string): Finding {
  return failed(
    NAME,
    line,
    'mend that and run this again; nothing else was tried. All keys are in config/full.yaml and under Configuration in the README',
  )
}
