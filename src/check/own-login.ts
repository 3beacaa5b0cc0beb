/** Whether an answer asks for a login to this very program: no other registry has that realm. */
export function isOwnLogin(headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  return /realm="ecr-mirror"/.test(String(headers['www-authenticate']))
}
