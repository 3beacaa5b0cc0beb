/**
 * The path and query of a Location or Link that an upstream names as its own, absolute (as ECR does, sometimes with
 * `:443`) or relative. Undefined when it is missing, is no part of the API or leads to another host: the mirror hands
 * on paths of its own, and goes nowhere else.
 */
export function ownPath(
  location: string | undefined,
  upstream: { readonly host: string; readonly endpoint?: string | undefined },
): string | undefined {
  if (location === undefined || location.includes('\\')) return undefined
  const base = `https://${upstream.host}`
  let url: URL
  try {
    url = new URL(location, base)
  } catch {
    return undefined
  }
  const hosts = [base, upstream.endpoint ?? base].map(origin => new URL(origin).host)
  const own = hosts.includes(url.host) && url.username === '' && url.password === ''
  return own && url.pathname.startsWith('/v2/') ? url.pathname + url.search : undefined
}
