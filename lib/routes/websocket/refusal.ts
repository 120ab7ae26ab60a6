import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'
import { HostRefused, OriginRefused, TooManyConnections, UpgradeTimeout } from '../../base/errors.js'
import type { RefusalReason } from '../../hub/connections/admission.js'

/** The `Retry-After` of upgrades that may succeed later. */
const RETRY_AFTER_SECONDS = 1

const REFUSAL = {
  host: HostRefused,
  origin: OriginRefused,
  connections: TooManyConnections,
  rate: TooManyConnections,
  overload: TooManyConnections,
  closing: TooManyConnections,
  timeout: UpgradeTimeout
} as const

interface Answer { statusCode: number, headers: Record<string, number>, body: object }

function answerFor (reason: RefusalReason): Answer {
  const { statusCode, code, message } = new REFUSAL[reason]() as Error & { statusCode: number, code: string }
  const headers: Record<string, number> = statusCode === 503 ? { 'retry-after': RETRY_AFTER_SECONDS } : {}
  return { statusCode, headers, body: { statusCode, code, error: STATUS_CODES[statusCode], message } }
}

/** Refuses a request. The error is sent, not thrown: Fastify logs thrown errors, so a flood would fill the log. */
export function refuse (reply: FastifyReply, reason: RefusalReason): FastifyReply {
  const { statusCode, headers, body } = answerFor(reason)
  return reply.code(statusCode).headers(headers).send(body)
}

/** Refuses an upgrade whose hooks have not ended. Writes to the socket, because the reply is in use, and closes it. */
export function refuseWaiting (socket: Socket, reason: RefusalReason): void {
  const { statusCode, headers, body } = answerFor(reason)
  const text = JSON.stringify(body)
  const all = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    connection: 'close',
    ...headers
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}\r\n${lines.join('')}\r\n${text}`)
  socket.destroySoon()
}
