import { setState, type ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import type { StateCause } from '../types.js'
import { readClose, type ReconnectPolicy } from './backoff.js'
import { createPace } from './pace.js'
import { createTimeout, type SocketEvent, type SocketLike } from './platform.js'
import { createRenewal, readToken } from './token.js'
import { createWatchdog, type ConnectionWatchdog } from './watchdog.js'

export interface ConnectionEvents {
  /** Called when the connection is open; returns the function that receives the text of its messages. */
  onUp: () => (text: unknown) => void
  onDown: () => void
  /** Sends a message that the service always answers. */
  ping: () => void
}

/** Called when the connection cannot be used any longer, perhaps because of an error. */
export type OnLost = (cause: StateCause, policy?: ReconnectPolicy, error?: ClientError) => void

export interface ClientConnection {
  /** Loses the connection unless a message arrives within this time. */
  verify (withinMs: number): void
  /** Closes the socket. Nothing that it emits afterwards has an effect. */
  release (): void
}

const CONNECT_MS = 15_000
/** One attempt to connect and the connection that results from it, from the token until it is lost or released. */
export function openConnection (
  context: ClientContext, events: ConnectionEvents, onLost: OnLost
): ClientConnection {
  const { url, WebSocket, getToken, emit } = context
  const restart = createTimeout(context.clock)
  const renewal = createTimeout(context.clock)
  const watchdog = createWatchdog(context, restart, events.ping, lose)
  let socket: SocketLike | undefined
  let isReleased = false

  function lose (cause: StateCause, policy?: ReconnectPolicy, error?: ClientError): void {
    if (error && !isReleased) emit('error', error)
    if (!isReleased) onLost(cause, policy)
  }

  async function open (): Promise<void> {
    // Deferred, so that listeners added right after `connect` receive every error.
    await undefined
    if (getToken) readToken(context, restart, openSocket, lose)
    else openSocket()
  }

  function openSocket (token?: string): void {
    if (isReleased) return
    restart(CONNECT_MS, () => lose('unreachable'))
    try {
      socket = new WebSocket(url, token ? ['bearer', token] : [])
    } catch (err) {
      return lose('unreachable', 'soon', new ClientError('CONNECT_FAILED', url, err))
    }
    context.send = (message) => socket!.send(context.pace.count(JSON.stringify(message)))
    for (const [type, listener] of Object.entries(createSocketListeners(context, watchdog, events, lose))) {
      socket.addEventListener(type as 'open', (event) => { if (!isReleased) listener(event) })
    }
  }

  context.renew = createRenewal(context, renewal)
  context.openedAt = Infinity
  open()
  return {
    verify: watchdog.verify,
    release () {
      isReleased = true
      context.isUp = false
      watchdog.stop()
      renewal()
      socket?.close(1000)
      events.onDown()
    }
  }
}

function createSocketListeners (
  context: ClientContext, watchdog: ConnectionWatchdog, events: ConnectionEvents, lose: OnLost
) {
  let receive: ReturnType<ConnectionEvents['onUp']>
  return {
    open () {
      context.isUp = true
      context.pace = createPace(context.clock)
      context.openedAt = context.clock.monotonic()
      watchdog.expectMessage()
      receive = events.onUp()
      setState(context, 'open', 'connected')
    },
    message ({ data }: SocketEvent) {
      watchdog.stop()
      if (context.state === 'stale') setState(context, 'open', 'answered')
      if (context.isUp) receive(data)
      if (context.isUp) watchdog.expectMessage()
    },
    close ({ code, reason }: SocketEvent) {
      const [cause, policy] = readClose(code!, reason!)
      lose(context.isUp || policy === 'never' ? cause : 'unreachable', policy)
    },
    // Some WebSocket implementations emit no `close` event for a socket that never opened.
    error ({ error, message }: SocketEvent) {
      if (context.isUp) return
      lose('unreachable', 'soon', error ? new ClientError('CONNECT_FAILED', message!, error) : undefined)
    }
  }
}
