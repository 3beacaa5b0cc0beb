/** Whether a platform is the one that is wanted: `linux/arm64` means whatever variant of it there is. */
export function isPlatform(platform: string, wanted: string): boolean {
  return platform === wanted || platform.startsWith(`${wanted}/`)
}
