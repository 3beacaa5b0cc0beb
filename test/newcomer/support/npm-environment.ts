const KEPT =
  /^(?:https?_proxy|no_proxy|node_extra_ca_certs|npm_config_(?:registry|cache|userconfig|cafile))$/i

/** What npm needs to know of this machine to find its registry, and nothing of what it tells the scripts that it runs. */
export function npmEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => KEPT.test(name))
  return {
    ...Object.fromEntries(kept.map(([name, value]) => [name, value ?? ''])),
    npm_config_update_notifier: 'false',
  }
}
