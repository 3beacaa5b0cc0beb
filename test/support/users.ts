import { hash as hashBcrypt } from '@node-rs/bcrypt'

/** A user that every mirror of these tests knows, with a password that a client's quoting or splitting could damage. */
export const USER = { name: 'ci', password: 'correct horse: battery' }

export const authorization = `Basic ${Buffer.from(`${USER.name}:${USER.password}`).toString('base64')}`

/**
 * A users file for users in the form of ECR_MIRROR_USERS. Its hashes are of the least cost that is taken: a good one
 * takes most of a test's time.
 */
export async function usersFile(users = `${USER.name}:${USER.password}`): Promise<string> {
  const lines = users.split(',').map(async user => {
    const colon = user.indexOf(':')
    return `${user.slice(0, colon)}:${await hashBcrypt(user.slice(colon + 1), 4)}\n`
  })
  return (await Promise.all(lines)).join('')
}
