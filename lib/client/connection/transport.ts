import { setState, type ClientContext } from '../context.js'
import type { StateCause } from '../types.js'
import { createBackoff, type ReconnectPolicy } from './backoff.js'
import { openConnection, type ClientConnection, type ConnectionEvents } from './connection.js'
import { createTimeout } from './platform.js'

export interface TransportEvents extends ConnectionEvents {
  onClosed: (cause: StateCause) => void
  /** The page may be gone next. */
  onHide: () => void
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

  const isHidden = (): boolean => document?.visibilityState === 'hidden'

  function onPageEvent ({ type }: { readonly type: string }): void {
    context.flush()
    if (isHidden()) return
    if (context.isUp) connection!.verify(VERIFY_MS)
    // The time to reconnect is over if only the page prevented it.
    else if (context.cause === 'hidden' || (context.state === 'waiting' && !context.reconnectAt)) {
      connect(type as StateCause)
    }
  }

  function listen (method: 'addEventListener' | 'removeEventListener'): void {
    document?.[method]('visibilitychange', onPageEvent)
    window?.[method]('online', onPageEvent)
    window?.[method]('pageshow', onPageEvent)
    window?.[method]('pagehide', events.onHide)
  }

  function connect (cause: StateCause): void {
    restart()
    if (isHidden()) return setState(context, 'waiting', 'hidden')
    delete context.reconnectAt
    connection = openConnection(context, events, reconnect)
    setState(context, 'connecting', cause)
  }

  function reconnect (cause: StateCause, policy: ReconnectPolicy = 'soon'): void {
    if (policy === 'never') return close(cause)
    connection!.release()
    const retryInMs = nextDelayMs(policy)
    restart(retryInMs, () => connect('retry'))
    setState(context, 'waiting', cause, { retryInMs })
  }

  function close (cause: StateCause): void {
    if (context.closed) return
    restart()
    connection?.release()
    listen('removeEventListener')
    events.onClosed(cause)
    setState(context, 'closed', cause)
  }

  listen('addEventListener')
  connect('start')

  return close
}
