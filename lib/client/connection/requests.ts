import type { ClientMessages } from '../../../schemas/messages/client-messages.js'
import type { ServerMessage, ServerMessages } from '../../../schemas/messages/server-messages.js'
import type { ClientContext } from '../context.js'
import { check, ClientError } from '../errors.js'
import type { ClientTimer } from './platform.js'
import { createSendQueue } from './send-queue.js'

/** The type of a request and the payload of the message that answers it. */
export interface Answers {
  ping: undefined
  whoami: ServerMessages['whoami']['payload']
  mission_start: ServerMessages['mission_ack']['payload']
  mission_cancel: ServerMessages['mission_ack']['payload']
  mission_get: ServerMessages['mission_update']['payload']
  mission_list: ServerMessages['mission_list']['payload']
  anomaly_history: ServerMessages['anomaly_history']['payload']
}

interface AskOptions { id?: string, timeoutMs?: number, retry?: boolean }

interface Request {
  message: ClientMessages[keyof Answers]
  retry: boolean
  sentAt?: number
  timer: ClientTimer
  resolve: (answer: never) => void
  reject: (error: ClientError) => void
}

export interface Requests {
  /**
   * Sends a request and returns its answer. With `retry` it is sent again, under the same id, if the connection is lost
   * before the answer.
   */
  ask<Type extends keyof Answers> (
    request: Omit<ClientMessages[Type], 'id'>, options?: AskOptions
  ): Promise<Answers[Type]>
  /** Returns whether the message answers one of these requests. */
  answer (message: ServerMessage): boolean
  onUp (): void
  onDown (): void
  close (error: ClientError): void
}

const TIMEOUT_MS = 30_000
const LIMITS_TIMEOUT_MS = 5_000

/** Requests that wait for the connection and for their turn, and then for the reply to their id. */
export function createRequests (context: ClientContext): Requests {
  const { clock, makeId } = context
  const requests = new Map<string | undefined, Request>()
  const flush: () => void = createSendQueue<Request>(context, {
    items: requests,
    put,
    refuse: ({ message: { id, type } }) => take(id)!.reject(new ClientError('TOO_LARGE', type)),
    whoami: () => ask<'whoami'>({ type: 'whoami' }, { timeoutMs: LIMITS_TIMEOUT_MS }, put)
  })

  function put (request: Request): void {
    request.sentAt = clock.monotonic()
    context.send(request.message)
  }

  function take (id: string | undefined): Request | undefined {
    const request = requests.get(id)
    requests.delete(id)
    request?.timer.cancel()
    return request
  }

  const ask = <Type extends keyof Answers>(
    question: Omit<ClientMessages[Type], 'id'>,
    { id = makeId(), timeoutMs = TIMEOUT_MS, retry = false }: AskOptions = {},
    begin: (request: Request) => void = flush
  ): Promise<Answers[Type]> => new Promise((resolve, reject) => {
      if (context.closed) throw context.closed
      check(id, !requests.has(id))
      const message = { ...question, id } as Request['message']
      for (const [name, value] of Object.entries(message)) check(name, isValid(name, value))
      const timer = clock.after(timeoutMs, () => take(id)!.reject(new ClientError('TIMEOUT', message.type)))
      const request: Request = { message, retry, timer, resolve, reject }
      requests.set(id, request)
      begin(request)
    })

  return {
    ask: (question, options) => ask(question, options),
    answer (message) {
      const request = take(message.replyTo)
      if (message.type === 'protocol_error') request?.reject(refusal(message.error))
      else if (request) {
        if (message.type === 'pong') context.rttMs = clock.monotonic() - request.sentAt!
        request.resolve((message as { payload?: unknown }).payload as never)
      }
      return !!request
    },
    onUp: flush,
    onDown () {
      for (const [id, request] of requests) {
        if (request.retry) delete request.sentAt
        if (request.sentAt !== undefined) take(id)!.reject(new ClientError('OUTCOME_UNKNOWN', request.message.type))
      }
    },
    close (error) {
      for (const id of requests.keys()) take(id)!.reject(error)
    }
  }
}

const isValid = (name: string, value: unknown): boolean =>
  name === 'query' ? Object(value) === value : name === 'limit' ? Number.isInteger(value) : typeof value === 'string'

/** An error of the service, as far as this client knows it. */
export interface ServiceError {
  code: string
  message: string
  /** Of a channel in `channels`. */
  position?: number
  /** The same request may succeed after this time. */
  retryAfterMs?: number
}

export const isTemporary = (error: ServiceError): error is ServiceError & { retryAfterMs: number } =>
  error.retryAfterMs !== undefined

/** Converts an error of the service. */
export const refusal = ({ code, message }: ServiceError): ClientError =>
  new ClientError('REFUSED', message, undefined, code)
