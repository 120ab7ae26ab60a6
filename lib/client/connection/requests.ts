import type { ClientMessages } from '../../../schemas/messages/client-messages.js'
import type { ServerMessage, ServerMessages } from '../../../schemas/messages/server-messages.js'
import type { ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import type { ClientTimer } from './platform.js'

/** What is asked, and the message that answers it. */
interface Answers {
  ping: ServerMessages['pong']
  mission_start: ServerMessages['mission_ack']
  mission_cancel: ServerMessages['mission_ack']
  mission_get: ServerMessages['mission_update']
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
  /** Asks and gives the answer and how long it took in ms. With `retry` it is asked again, under the same id, if the connection is lost before. */
  ask<Type extends keyof Answers> (question: Omit<ClientMessages[Type], 'id'>, options?: AskOptions): Promise<[answer: Answers[Type], tookMs: number]>
  /** Whether the message is the answer to something that was asked here. */
  answer (message: ServerMessage): boolean
  up (): void
  down (): void
  close (error: ClientError): void
}

const TIMEOUT_MS = 30_000

/** Messages that are answered: each waits for the connection, and for the reply that names its id. */
export function createRequests (core: ClientContext): Requests {
  const { clock, makeId, send } = core
  const requests = new Map<string | undefined, Request>()

  function put (request: Request): void {
    request.sentAt = clock.monotonic()
    send(request.message)
  }

  function take (id: string | undefined): Request | undefined {
    const request = requests.get(id)
    requests.delete(id)
    request?.timer.cancel()
    return request
  }

  return {
    ask: (question, { id = makeId(), timeoutMs = TIMEOUT_MS, retry = false } = {}) => new Promise((resolve, reject) => {
      if (core.closed) throw core.closed
      if (requests.has(id)) throw new ClientError('INVALID_OPTION', id)
      const message = { ...question, id } as Request['message']
      const timer = clock.after(timeoutMs, () => take(id)!.reject(new ClientError('TIMEOUT', message.type)))
      const request: Request = { message, retry, timer, resolve, reject }
      requests.set(id, request)
      if (core.isUp) put(request)
    }),
    answer (message) {
      const request = take(message.replyTo)
      if (message.type === 'protocol_error') request?.reject(refusal(message.error))
      else request?.resolve([message, clock.monotonic() - request.sentAt!] as never)
      return request !== undefined
    },
    up () { requests.forEach(put) },
    down () {
      for (const [id, { message, sentAt, retry }] of requests) {
        if (sentAt !== undefined && !retry) take(id)!.reject(new ClientError('OUTCOME_UNKNOWN', message.type))
      }
    },
    close (error) {
      for (const id of requests.keys()) take(id)!.reject(error)
    }
  }
}

/** An error of the service as one of the client. */
export const refusal = ({ code, message }: { code: string, message: string }): ClientError => new ClientError('REFUSED', message, undefined, code)
