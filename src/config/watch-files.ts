import { unwatchFile, watchFile, type Stats } from 'node:fs'

/**
 * Calls `changed` after one of the files has become another one. It compares what the path leads to every `interval`
 * milliseconds, so that it also sees a symbolic link that is swapped above the file, as Kubernetes does for a
 * ConfigMap or Secret. The returned function ends it; a watch alone does not keep the process alive.
 */
export function watchFiles(files: readonly string[], changed: () => void, interval = 2000): () => void {
  const onStat = (now: Stats, before: Stats): void => {
    if (now.mtimeMs !== before.mtimeMs || now.size !== before.size || now.ino !== before.ino) changed()
  }
  for (const file of files) watchFile(file, { interval, persistent: false }, onStat)
  return () => {
    for (const file of files) unwatchFile(file, onStat)
  }
}
