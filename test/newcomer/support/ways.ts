import type { Action } from '../../ecr/knobs.js'
import type { Typed } from './terminal.js'

/**
 * What the documents show and is not run, by the reason for it. All else is run as it stands, and has to end well: a new
 * command that cannot is either mended or written down here.
 */
export const NOT_RUN: readonly { readonly because: string; readonly commands: readonly string[] }[] = [
  {
    because: 'it would run itself; these tests are run by it, and its npm ci is run with the other commands',
    commands: ['npm ci && npm test', 'npm test'],
  },
  {
    because: 'it is a part of what is run, here and in two-accounts.test.ts',
    commands: [
      'npm ci',
      'npm run walk',
      'npm run walk -- --tests',
      'cp -r files/etc/containerd/certs.d /etc/containerd/',
    ],
  },
  {
    because: '.ci/run runs it before the tests',
    commands: ['npm run check'],
  },
  {
    because: 'it needs the compose plugin of docker, and a base image from Docker Hub',
    commands: [
      'docker compose up try',
      'docker login -u demo -p demo localhost:5000',
      'docker compose build mirror',
      'docker run --rm -i ecr-mirror hash-password ci < password.txt > users.htpasswd',
      'docker compose up --detach mirror',
    ],
  },
  {
    because:
      'mirror.internal is a mirror with TLS on another machine; the same login is run at localhost:5000',
    commands: ['docker login mirror.internal', 'docker login -u ci --password-stdin mirror.internal'],
  },
  {
    because: 'it needs a browser, and writes pictures of the pages that test/status/browser.test.ts looks at',
    commands: ['npm run screenshots'],
  },
  {
    because:
      'it takes up to hours; the same code is run in little, by `npm run bench -- --quick` and by the tests',
    commands: [
      'npm run bench',
      'npm run bench -- --case small-blobs --case cold-blob --rounds 3',
      'npm run bench -- --json results.json --chart docs/performance.svg',
      'npm run attack',
      'npm run test:stalls',
      'npm run bench:logins',
      'npm run bench:login-timing',
      'npm run test:long',
      'npm run test:branches',
      'npm run test:mutation',
      'npm run test:hostile',
      'HOSTILE_SEED=7 npm run test:hostile',
    ],
  },
]

/** How a command is run, where it is not simply run to its end. */
export interface Way {
  /** It needs npm's registry: run on this machine, and not in the world of the documents. */
  readonly outside?: true
  /** It runs on, and is ready when it says this; it is ended with its section, or at once by Ctrl-C. */
  readonly ready?: RegExp
  readonly interrupted?: true
  /** What is typed, for what asks. */
  readonly typed?: readonly Typed[]
  /** What ECR's API is not to be allowed meanwhile, as the document says. */
  readonly denied?: Action
  /** How it ends, when not with 0. */
  readonly code?: number
}

const LISTENS = /"listen":\["http/

export const WAYS: Readonly<Record<string, Way>> = {
  'npm ci && npm run demo': { outside: true, ready: /Ctrl-C ends it/, interrupted: true },
  'npm ci && npm run build': { outside: true },
  'npm link': { outside: true },
  'npm run ecr': { ready: /end it with Ctrl-C/, interrupted: true },
  'node dist/main.js serve --registry 123456789012.dkr.ecr.us-east-1.amazonaws.com': { ready: LISTENS },
  'ecr-mirror hash-password ci >> users.htpasswd': {
    typed: [
      { asked: /Password: $/, answer: 'change-me\n' },
      { asked: /The same again: $/, answer: 'change-me\n' },
    ],
  },
  'ecr-mirror check --config mirror.yaml': { denied: 'GetAuthorizationToken', code: 1 },
}

/** Why a command is not run; undefined when it is. */
export function whyNotRun(command: string): string | undefined {
  return NOT_RUN.find(({ commands }) => commands.includes(command))?.because
}
