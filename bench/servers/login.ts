import { execFileSync } from 'node:child_process'
import { hash } from '@node-rs/bcrypt'
import type { Login } from './server.js'

/** The one user of every server. */
export const LOGIN: Login = { user: 'ci', password: 'correct-horse-battery' }

export function basic({ user, password }: Login): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

/** The cost that `htpasswd -B` takes when it is not told one. */
const BCRYPT_COST = 5

export async function bcryptLine({ user, password }: Login): Promise<string> {
  return `${user}:${await hash(password, BCRYPT_COST)}\n`
}

/** Apache's MD5, htpasswd's own choice; fast, which is what is wrong with it. */
export function apr1Line({ user, password }: Login): string {
  return `${user}:${execFileSync('openssl', ['passwd', '-apr1', password], { encoding: 'utf8' }).trim()}\n`
}
