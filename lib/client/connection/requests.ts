import type { ClientMessages } from '../../../schemas/messages/client-messages.js'
import type { ServerMessage, ServerMessages } from '../../../schemas/messages/server-messages.js'
import type { ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import type { ClientTimer } from './platform.js'
import { createSendQueue, type SendQueue } from './send-queue.js'

/** The type of a request and the message that answers it. */
interface Answers {
  ping: ServerMessages['pong']
  whoami: ServerMessages['whoami']
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
  /**
   * Sends a request and returns its answer and the round-trip time in ms. With `retry` it is sent again, under the same
   * id, if the connection is lost before the answer.
   */
  ask<Type extends keyof Answers> (
    request: Omit<ClientMessages[Type], 'id'>, options?: AskOptions
  ): Promise<[answer: Answers[Type], tookMs: number]>
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
  const queue: SendQueue<Request> = createSendQueue(context, {
    put,
    refuse: ({ message: { id, type } }) => take(id)!.reject(new ClientError('TOO_LARGE', type)),
    async askLimits () {
      return (await ask<'whoami'>({ type: 'whoami' }, { timeoutMs: LIMITS_TIMEOUT_MS }, put))[0].payload.limits
    }
  })

  function put (request: Request): void {
    request.sentAt = clock.monotonic()
    context.send(request.message)
  }

  function take (id: string | undefined): Request | undefined {
    const request = requests.get(id)
    requests.delete(id)
    queue.remove(request)
    request?.timer.cancel()
    return request
  }

  const ask = <Type extends keyof Answers>(
    question: Omit<ClientMessages[Type], 'id'>,
    { id = makeId(), timeoutMs = TIMEOUT_MS, retry = false }: AskOptions = {},
    begin: (request: Request) => void = queue.add
  ): Promise<[answer: Answers[Type], tookMs: number]> => new Promise((resolve, reject) => {
      if (context.closed) throw context.closed
      if (requests.has(id)) throw new ClientError('INVALID_OPTION', id)
      const message = { ...question, id } as Request['message']
      const wrong = Object.entries(message).find(([, value]) => typeof value !== 'string')
      if (wrong) throw new ClientError('INVALID_OPTION', wrong[0])
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
      else request?.resolve([message, clock.monotonic() - request.sentAt!] as never)
      return request !== undefined
    },
    onUp: () => requests.forEach(queue.add),
    onDown () {
      requests.forEach(queue.remove)
      for (const [id, { message, sentAt, retry }] of requests) {
        if (sentAt !== undefined && !retry) take(id)!.reject(new ClientError('OUTCOME_UNKNOWN', message.type))
      }
    },
    close (error) {
      for (const id of requests.keys()) take(id)!.reject(error)
    }
  }
}

/** Converts an error of the service. */
export const refusal = ({ code, message }: { code: string, message: string }): ClientError =>
  new ClientError('REFUSED', message, undefined, code)
