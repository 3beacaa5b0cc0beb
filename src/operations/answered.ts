import type { FastifyReply } from 'fastify'

/** A header of an answer, whether the framework wrote it or a handler past the framework. */
export function headerText(reply: FastifyReply, name: string): string | undefined {
  const value = reply.getHeader(name) ?? reply.raw.getHeader(name)
  return value === undefined ? undefined : String(value)
}
