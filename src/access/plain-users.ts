import type { Secret } from '../secret.js'
import { hashPassword, parsePasswordHash, type PasswordHash } from './password-hash.js'
import type { Users } from './users.js'

/** Hashes users that were given with their passwords, for a quick start without a file; names may come twice. */
export async function hashPlainUsers(
  plain: readonly { readonly name: string; readonly password: Secret }[],
): Promise<Users> {
  const users = new Map<string, readonly PasswordHash[]>()
  for (const { name, password } of plain) {
    const hash = parsePasswordHash(await hashPassword(password.reveal()))
    if ('refused' in hash) throw new Error(`A hash made here was refused: ${hash.refused}.`)
    users.set(name, [...(users.get(name) ?? []), hash])
  }
  return users
}
