import { Command, CommanderError } from 'commander'
import { CLIENTS } from '../client-config/clients.js'
import { ConfigError } from '../config/config-error.js'
import type { Flags } from '../config/flags.js'
import { suggestion } from '../config/suggestion.js'
import { VERSION } from '../version.js'
import type { CheckFlags } from './check.js'
import type { ClientConfigFlags } from './client-config.js'
import type { ExportFlags } from './export.js'
import type { ImportFlags } from './import.js'
import type { CreateApp } from './serve.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'
import type { WarmFlags } from './warm.js'

/**
 * Does what the arguments (without the program's own name) ask for and gives the exit code; undefined when the
 * mirror runs and a signal will end the process.
 */
export async function run(
  args: readonly string[],
  surroundings: Surroundings,
  createApp: CreateApp,
): Promise<number | undefined> {
  const { stdout, stderr } = surroundings
  let exitCode: number | undefined = EXIT.ok
  // Each command is loaded as it is called: a health check every few seconds is not to load the whole mirror.
  const program = new Command('ecr-mirror')
    .description('An authenticating registry mirror for Amazon ECR.')
    .version(VERSION, '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .exitOverride()
    .configureOutput({
      writeOut: text => stdout.write(text),
      writeErr: text => stderr.write(text),
      // An option that is none may have been given with a password.
      outputError: (text, write) => write(text.replace(/(--[\w-]+)=[^']*/g, '$1=…')),
    })
    .addHelpText(
      'after',
      examples(
        'ecr-mirror --registry 123456789012.dkr.ecr.us-east-1.amazonaws.com',
        'ecr-mirror serve --help',
      ),
    )

  program
    .command('serve', { isDefault: true })
    .description('run the mirror (what is done without a command)')
    .option('--config <file>', 'configuration file, YAML or JSON')
    .option(
      '--registry <host>',
      'ECR host to mirror instead of the configured upstreams; repeatable, the first is the default. It is called <account>-<region>',
      collect,
    )
    .option('--listen <host:port>', 'where clients connect')
    .option('--cache <directory>', 'keep blobs in this directory; one mirror owns it')
    .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent')
    .addHelpText(
      'after',
      examples(
        'ecr-mirror serve --config mirror.yaml',
        'ECR_MIRROR_USERS=ci:password ecr-mirror serve --registry 123456789012.dkr.ecr.us-east-1.amazonaws.com --listen 0.0.0.0:5000 --cache /var/cache/ecr-mirror',
      ),
    )
    .allowExcessArguments()
    .action(async (flags: Flags, command: Command) => {
      refuseArguments(command.args, program)
      const started = await (await import('./serve.js')).serve(flags, surroundings, createApp)
      if (started) exitCode = undefined
    })

  program
    .command('hash-password')
    .description('read a password from standard input and print its htpasswd line')
    .argument('<name>', "the user's name")
    .addHelpText(
      'after',
      examples(
        'ecr-mirror hash-password ci >> users.htpasswd',
        'printf %s "$PASSWORD" | ecr-mirror hash-password ci',
      ),
    )
    .action(async (name: string) => (await import('./hash-password.js')).hashPasswordLine(name, surroundings))

  program
    .command('healthcheck')
    .description('exit 0 when the running mirror is live, else 1')
    .option('--config <file>', 'configuration file, YAML or JSON')
    .addHelpText('after', examples('ecr-mirror healthcheck --config mirror.yaml'))
    .action(async (flags: Flags) => (await import('./healthcheck.js')).healthcheck(flags, surroundings))

  const aboutCache = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .option('--config <file>', 'configuration file, YAML or JSON')
      .option('--registry <host>', 'ECR host instead of the configured upstreams; repeatable', collect)
      .option('--cache <directory>', 'the cache directory, instead of the configured one')

  aboutCache('check', 'look at all that a mirror with this configuration needs; safe beside a running mirror')
    .option('--image <image>', 'an image to fetch a layer of, instead of one that the registry lists')
    .option('--json', 'for machines')
    .addHelpText(
      'after',
      examples(
        'ecr-mirror check --config mirror.yaml',
        'ecr-mirror check --registry 123456789012.dkr.ecr.us-east-1.amazonaws.com --image team/app:1.0 --json',
      ),
    )
    .action(async (flags: CheckFlags) => (await import('./check.js')).checkMirror(flags, surroundings))

  aboutCache('warm', 'fill the cache with images from their registries; safe beside a running mirror')
    .argument(
      '<image...>',
      'an image as clients name it after the mirror: team/app:1.0, main/team/app@sha256:…',
    )
    .option('--platform <platform>', 'of an image for many platforms only this one, such as linux/arm64')
    .addHelpText(
      'after',
      examples('ecr-mirror warm team/app:1.0', 'ecr-mirror warm --platform linux/arm64 hub/library/node:24'),
    )
    .action(async (names: string[], flags: WarmFlags) =>
      (await import('./warm.js')).warmImages(names, flags, surroundings, createApp),
    )

  aboutCache('images', 'list what is in the cache, and whether each image and platform is complete')
    .option('--json', 'for machines')
    .addHelpText('after', examples('ecr-mirror images', 'ecr-mirror images --json --config mirror.yaml'))
    .action(async (flags: Flags & { json?: boolean }) =>
      (await import('./images.js')).printImages(flags, surroundings),
    )

  aboutCache('purge', 'drop images or digests from the cache; safe beside a running mirror')
    .argument('<image|digest...>', 'an image as clients name it, or a digest')
    .addHelpText(
      'after',
      examples('ecr-mirror purge team/app:1.0', `ecr-mirror purge sha256:${'0123456789abcdef'.repeat(4)}`),
    )
    .action(async (names: string[], flags: Flags) =>
      (await import('./purge.js')).purgeImages(names, flags, surroundings, createApp),
    )

  aboutCache('export', 'write cached images to an OCI layout in a tar archive; safe beside a running mirror')
    .argument(
      '<image...>',
      'an image as clients name it after the mirror: team/app:1.0, main/team/app@sha256:…',
    )
    .requiredOption('-o, --output <file>', 'the file to write, or - for standard output')
    .option('--platform <platform>', 'of an image for many platforms only this one, such as linux/arm64')
    .option(
      '--without-foreign-layers',
      'leave out layers that may be fetched from elsewhere where they are not in the cache',
    )
    .addHelpText(
      'after',
      examples(
        'ecr-mirror export team/app:1.0 hub/library/node:24 -o bundle.tar',
        'ecr-mirror export team/app:1.0 -o - | ssh closed.example ecr-mirror import -',
      ),
    )
    .action(async (names: string[], flags: ExportFlags) =>
      (await import('./export.js')).exportImages(names, flags, surroundings),
    )

  aboutCache(
    'import',
    'take the images of an OCI layout in a tar archive into the cache; safe beside a running mirror',
  )
    .argument('<file>', 'what export wrote, or another OCI layout, gzipped or not; - for standard input')
    .option(
      '--name <name>',
      'what the only image of the bundle is to be called, or OLD=NAME for one of several; repeatable',
      collect,
    )
    .option('--as-upstream <upstream>', "put this in place of the upstream's name in the bundle")
    .addHelpText(
      'after',
      examples('ecr-mirror import bundle.tar', 'ecr-mirror import --name main/team/app:1.0 from-skopeo.tar'),
    )
    .action(async (file: string, flags: ImportFlags) =>
      (await import('./import.js')).importImages(file, flags, surroundings, createApp),
    )

  program
    .command('client-config')
    .description(
      'print the files that a client needs for this mirror; the password comes from standard input',
    )
    .argument('<client>', [...CLIENTS.keys()].join(', '))
    .option('--config <file>', 'configuration file, YAML or JSON')
    .option('--registry <host>', 'ECR host instead of the configured upstreams; repeatable', collect)
    .option(
      '--url <url>',
      'where clients find the mirror; left out: publicUrl, or the first address of listen',
    )
    .option('--user <name>', 'who logs in')
    .option(
      '--directory <directory>',
      "write the files below this directory instead, at the same paths; ~ is root's home there",
    )
    .option('--force', 'with --directory: replace files that are there already')
    .option('--json', 'for machines')
    .addHelpText(
      'after',
      examples(
        'ecr-mirror client-config containerd --url https://mirror.internal --user ci < password.txt',
        'printf %s "$PASSWORD" | ecr-mirror client-config docker --config mirror.yaml --user ci --directory rootfs',
      ),
    )
    .action(async (name: string, flags: ClientConfigFlags) =>
      (await import('./client-config.js')).printClientConfig(name, flags, surroundings),
    )

  for (const command of program.commands) command.helpOption('--help', 'print this help')
  try {
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    return explain(error, stderr)
  }
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}

function examples(...lines: string[]): string {
  return `\nExample${lines.length > 1 ? 's' : ''}:\n${lines.map(line => `  ${line}\n`).join('')}`
}

/** `serve` takes no arguments, so what stands there is meant as a command. */
function refuseArguments([argument]: readonly string[], program: Command): void {
  if (argument === undefined) return
  const names = program.commands.map(command => command.name())
  throw new CommandError(
    `unknown command ${JSON.stringify(argument)}${suggestion(argument, names)}; see: ecr-mirror --help`,
    EXIT.usage,
  )
}

function explain(error: unknown, stderr: NodeJS.WritableStream): number {
  // What commander has to say, it has said already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  const lines =
    error instanceof ConfigError ? error.lines : [error instanceof Error ? error.message : 'unknown error']
  for (const line of lines) stderr.write(`ecr-mirror: ${line}\n`)
  if (error instanceof CommandError) return error.exitCode
  return error instanceof ConfigError ? EXIT.usage : EXIT.failed
}
