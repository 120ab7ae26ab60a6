import { setState, type ClientContext } from '../context.js'
import type { StateCause } from '../types.js'
import { createBackoff, type ReconnectPolicy } from './backoff.js'
import { openConnection, type ClientConnection, type ConnectionEvents } from './connection.js'
import { createTimeout } from './platform.js'

export interface TransportEvents extends ConnectionEvents {
  onClosed: (cause: StateCause) => void
}

const VERIFY_MS = 5_000

/**
 * Keeps one connection open: connects at once, and again whenever the connection is lost. Returns the function that
 * closes it.
 */
export function createTransport (context: ClientContext, events: TransportEvents): (cause: StateCause) => void {
  const { clock, document, window } = context
  const nextDelayMs = createBackoff(context)
  const restart = createTimeout(clock)
  let connection: ClientConnection | undefined
  // The delay is over, but the page is hidden.
  let isOverdue = false

  const isHidden = (): boolean => document?.visibilityState === 'hidden'

  function onPageEvent ({ type }: { readonly type: string }): void {
    if (isHidden()) return
    if (context.isUp) connection!.verify(VERIFY_MS)
    else if (context.state === 'waiting' && (isOverdue || context.reconnectAt === undefined)) {
      connect(type as StateCause)
    }
  }

  function listen (method: 'addEventListener' | 'removeEventListener'): void {
    document?.[method]('visibilitychange', onPageEvent)
    window?.[method]('online', onPageEvent)
    window?.[method]('pageshow', onPageEvent)
  }

  function connect (cause: StateCause): void {
    restart()
    isOverdue = isHidden()
    if (isOverdue) return setState(context, 'waiting', 'hidden')
    delete context.reconnectAt
    connection = openConnection(context, events, reconnect)
    setState(context, 'connecting', cause)
  }

  function reconnect (cause: StateCause, policy: ReconnectPolicy = 'soon'): void {
    if (policy === 'never') return close(cause)
    release()
    restart(nextDelayMs(policy), () => connect('retry'))
    setState(context, 'waiting', cause)
  }

  function release (): void {
    restart()
    connection?.release()
    connection = undefined
  }

  function close (cause: StateCause): void {
    if (context.closed) return
    release()
    listen('removeEventListener')
    events.onClosed(cause)
    setState(context, 'closed', cause)
  }

  listen('addEventListener')
  connect('start')

  return close
}
