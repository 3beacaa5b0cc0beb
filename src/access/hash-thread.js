// @ts-check
/**
 * What the hash thread runs. It is JavaScript, since a thread begins with a file as Node.js reads it, also in a test whose
 * TypeScript is compiled as it is loaded.
 */
import { scryptSync, timingSafeEqual } from 'node:crypto'
import { constants, getPriority, platform, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { verifySync as verifyArgon2 } from '@node-rs/argon2'
import { verifySync as verifyBcrypt } from '@node-rs/bcrypt'

/**
 * @typedef {import('./compare-aside.js').StoredHash} StoredHash
 * @typedef {import('./compare-aside.js').Question} Question
 * @typedef {import('./compare-aside.js').Answer} Answer
 */

/** A tenth of a share of a core that others want, too (sched(7), "The nice value"). */
const LOWER_BY = 10

/** Where threads have priorities of their own (setpriority(2), "C library/kernel differences"), requests go first. */
function letOthersGoFirst() {
  if (platform() !== 'linux') return
  try {
    setPriority(Math.min(getPriority() + LOWER_BY, constants.priority.PRIORITY_LOW))
  } catch {
    // A sandbox may forbid it; then hashes and requests share the cores evenly.
  }
}

/**
 * @param {StoredHash} stored
 * @param {string} password
 */
function matches(stored, password) {
  switch (stored.algorithm) {
    case 'bcrypt':
      return verifyBcrypt(password, stored.text)
    case 'argon2id':
      return verifyArgon2(stored.text, password)
    case 'scrypt':
      return timingSafeEqual(
        scryptSync(password, stored.salt, stored.hash.length, stored.options),
        stored.hash,
      )
  }
}

/**
 * @param {Question} question
 * @returns {Answer}
 */
function answerTo({ id, stored, password }) {
  try {
    return { id, good: matches(stored, password) }
  } catch (error) {
    return { id, failure: error instanceof Error ? error.message : 'the hash could not be made' }
  }
}

letOthersGoFirst()
parentPort?.on('message', (/** @type {Question} */ question) => parentPort?.postMessage(answerTo(question)))
