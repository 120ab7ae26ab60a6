import type { CloseReason } from '../../schemas/messages/close-codes.js'
import type { Connection } from './connections/connection.js'
import type { Dispatcher } from './dispatcher.js'
import type { HubMetrics } from './metrics.js'

/**
 * What the owner of a WebSocket must call. No member ever throws, because a throw in a socket listener ends the
 * process.
 */
export interface SocketEvents {
  message (data: Buffer): void
  ping (): void
  pong (): void
  /** The WebSocket library has found an error and closes the connection by itself, for this reason. */
  error (reason: CloseReason): void
  /** The system has taken the bytes that were written to the socket. */
  drained (): void
  /** Requests that the hub closes the connection, for this reason. */
  close (reason: CloseReason): void
  /** The socket is closed. */
  closed (): void
}

export interface SocketEventsDeps {
  connection: Connection
  dispatcher: Dispatcher
  metrics: HubMetrics
  onClosed: (connection: Connection) => void
}

/** Connects the events of a socket to its connection, and enforces the rate limit of the client. */
export function createSocketEvents (deps: SocketEventsDeps): SocketEvents {
  const { connection, dispatcher, metrics, onClosed } = deps
  let isOverLimit = false

  function acceptFrame (): boolean {
    if (connection.isClosing || isOverLimit) return false
    connection.markAlive()
    isOverLimit = !connection.takeFrameToken()
    if (!isOverLimit) return true
    dispatcher.answerWaiting(connection)
    // Not at once: commands of the same turn that are done are acknowledged in its microtasks.
    setImmediate(() => closeOverLimit(deps))
    return false
  }

  // The WebSocket library answers a ping by itself, and terminates a connection that sends many of them.
  function acceptControlFrame (): void {
    if (!acceptFrame()) closeOverLimit(deps)
  }

  return {
    message: (data) => {
      metrics.messagesReceivedTotal++
      if (acceptFrame()) dispatcher.dispatch(connection, data)
    },
    ping: acceptControlFrame,
    pong: () => {
      if (connection.acceptPong()) connection.markAlive()
      else acceptControlFrame()
    },
    error: (reason) => connection.beginClosing(reason),
    drained: () => connection.outbox.drained(),
    close: (reason) => connection.close(reason),
    closed: () => onClosed(connection)
  }
}

function closeOverLimit ({ connection, dispatcher }: SocketEventsDeps): void {
  if (connection.isClosing) return
  dispatcher.fail(connection, 'rate_limited')
  connection.close('rate_limited')
}
