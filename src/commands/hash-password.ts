import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { hashPassword, passwordProblem } from '../access/password-hash.js'
import { userNameProblem } from '../access/users.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'

/** Prints the htpasswd line of a user whose password comes from standard input. Throws a CommandError. */
export async function hashPasswordLine(name: string, surroundings: Surroundings): Promise<void> {
  refuse(userNameProblem(name))
  const { stdin, stdout } = surroundings
  const password = stdin.isTTY ? await promptTwice(surroundings) : (await text(stdin)).replace(/\r?\n$/, '')
  refuse(
    password === ''
      ? 'the password is empty; type it, or pipe it in: printf %s "$PASSWORD" | ecr-mirror hash-password NAME'
      : undefined,
  )
  refuse(/[\r\n]/.test(password) ? 'standard input has several lines; expected one password' : undefined)
  refuse(passwordProblem(password))
  stdout.write(`${name}:${await hashPassword(password)}\n`)
}

function refuse(problem: string | undefined): void {
  if (problem !== undefined) throw new CommandError(problem, EXIT.usage)
}

async function promptTwice(surroundings: Surroundings): Promise<string> {
  const password = await prompt('Password: ', surroundings)
  const again = await prompt('The same again: ', surroundings)
  refuse(password === again ? undefined : 'the two passwords differ')
  return password
}

/** Reads a line from the terminal without showing it. */
async function prompt(question: string, { stdin, stderr }: Surroundings): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: stdin, output: nowhere, terminal: true })
  stderr.write(question)
  try {
    return await new Promise<string>((resolve, reject) => {
      const stopped = (): void => reject(new CommandError('stopped', EXIT.failed))
      lines.once('line', resolve).once('close', stopped).once('SIGINT', stopped)
    })
  } finally {
    lines.close()
    stderr.write('\n')
  }
}
