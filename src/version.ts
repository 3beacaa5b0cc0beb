import { randomBytes } from 'node:crypto'

/** The version of this program; a test holds it against package.json. */
export const VERSION = '0.1.0'

/** What this process calls itself among others. */
export const INSTANCE = `ecr-mirror-${randomBytes(6).toString('hex')}`
