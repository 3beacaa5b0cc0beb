import { pino, stdSerializers, type DestinationStream, type Logger } from 'pino'
import { PinoPretty } from 'pino-pretty'

export type Log = Logger

export interface LogOptions {
  readonly level: string
  readonly format: 'json' | 'pretty'
  readonly destination: DestinationStream & NodeJS.WritableStream
}

/** The log: JSON for machines or lines for people, with errors reduced to what may be seen. */
export function createLog({ level, format, destination }: LogOptions): Log {
  const stream = format === 'pretty' ? PinoPretty({ destination, colorize: true, sync: true }) : destination
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: serializeError, cause: causeOf },
      redact: ['*.authorization', '*.password', 'authorization', 'password'],
    },
    stream,
  )
}

/** Name, code, message and stack; of causes no more than name and message, since libraries hang requests on errors. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return typeof error
  const { type, message, stack } = stdSerializers.err(error)
  return {
    type,
    message,
    stack,
    ...('code' in error && typeof error.code === 'string' && { code: error.code }),
    ...(error.cause !== undefined && { cause: causeOf(error.cause) }),
  }
}

function causeOf(cause: unknown): unknown {
  if (cause instanceof Error) return { type: cause.name, message: cause.message }
  return cause
}
