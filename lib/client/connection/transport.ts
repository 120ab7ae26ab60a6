import type { ClientMessage } from '../../../schemas/messages/client-messages.js'
import { backoffMs, readClose, type ReconnectPolicy } from './backoff.js'
import type { ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import type { ClientState, StateCause } from '../types.js'
import type { ClientTimer, SocketEvent, SocketLike } from './platform.js'

export interface TransportEvents {
  onUp: () => void
  onDown: () => void
  onText: (text: unknown) => void
  onClosed: (cause: StateCause) => void
  /** Sends something that is answered. */
  ask: () => void
}

export interface Transport {
  send (message: ClientMessage): void
  close (cause: StateCause): void
}

const CONNECT_MS = 15_000
/** Whoever is asked for a token may have to ask somebody. */
const TOKEN_MS = 60_000
const STABLE_MS = 60_000
const VERIFY_MS = 5_000
const STALE_MS = 10_000
/** Characters of a subprotocol (RFC 6455 §4.1, RFC 9110 §5.6.2). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/
/** What brings the network or the page back. */
const WINDOW_EVENTS = ['online', 'pageshow'] as const

/** One connection at a time, made at once and again whenever it is lost. What a socket says after another took its place is not heard. */
export function createTransport (core: ClientContext, { onUp, onDown, onText, onClosed, ask }: TransportEvents): Transport {
  const { url, WebSocket, getToken, clock, random, document, window, emit } = core
  let socket: SocketLike | undefined
  let attempt = 0
  let openedAt = Infinity
  // The wait is over, but nobody looks at the page.
  let isDue = false
  // Of the state: until connecting took too long, until too little was heard, or until the next attempt.
  let timer: ClientTimer | undefined
  let probe: ClientTimer | undefined
  // Counts connections, so that a token that comes late opens none.
  let turn = 0

  const isHidden = (): boolean => document?.visibilityState === 'hidden'

  function nudge ({ type }: { readonly type: string }): void {
    if (isHidden()) return
    if (core.isUp) verify(VERIFY_MS)
    else if (core.state === 'waiting' && (isDue || core.reconnectAt === undefined)) connect(type as StateCause)
  }

  function listen (how: 'addEventListener' | 'removeEventListener'): void {
    document?.[how]('visibilitychange', nudge)
    for (const type of WINDOW_EVENTS) window?.[how](type, nudge)
  }

  function connect (why: StateCause): void {
    timer?.cancel()
    isDue = isHidden()
    if (isDue) return set('waiting', 'hidden')
    delete core.reconnectAt
    const mine = ++turn
    set('connecting', why)
    open(mine)
  }

  async function open (mine: number): Promise<void> {
    const protocols: string[] = []
    timer = clock.after(TOKEN_MS, () => drop('token_failed'))
    try {
      // Not at once, so that listeners that are added after `connect` hear of all that fails.
      await undefined
      const token = await getToken?.()
      if (mine !== turn) return
      if (getToken) protocols.push('bearer', token!)
    } catch (err) {
      if (mine !== turn) return
      emit('error', new ClientError('TOKEN_FAILED', 'getToken', err))
      return drop('token_failed')
    }
    if (protocols.some((text) => typeof text !== 'string' || !TOKEN.test(text))) {
      emit('error', new ClientError('INVALID_TOKEN', 'getToken'))
      return close('invalid_token')
    }
    timer.cancel()
    timer = clock.after(CONNECT_MS, () => drop('unreachable'))
    dial(protocols)
  }

  function dial (protocols: string[]): void {
    let made: SocketLike
    try {
      made = socket = new WebSocket(url, protocols)
    } catch (err) {
      emit('error', new ClientError('CONNECT_FAILED', url, err))
      return drop('unreachable')
    }
    const on = (type: 'open' | 'message' | 'close' | 'error', run: (event: SocketEvent) => void): void =>
      made.addEventListener(type, (event) => { if (socket === made) run(event) })
    on('open', () => {
      core.isUp = true
      openedAt = clock.monotonic()
      watch()
      onUp()
      set('open', 'connected')
    })
    on('message', ({ data }) => {
      rest()
      if (core.state === 'stale') set('open', 'answered')
      if (core.isUp) onText(data)
      if (core.isUp) watch()
    })
    on('close', ({ code, reason }) => {
      const [why, comeBack] = readClose(code!, reason!)
      if (comeBack === 'never') close(why)
      else drop(core.isUp ? why : 'unreachable', comeBack)
    })
    // Not every WebSocket tells of the close of one that never was open.
    on('error', () => { if (!core.isUp) drop('unreachable') })
  }

  function watch (): void {
    timer?.cancel()
    timer = clock.after(2 * core.heartbeatMs, () => {
      verify(STALE_MS)
      set('stale', 'silent')
    })
  }

  function verify (withinMs: number): void {
    probe ??= clock.after(withinMs, () => drop('no_answer'))
    ask()
  }

  function rest (): void {
    probe?.cancel()
    probe = undefined
  }

  function drop (why: StateCause, comeBack?: ReconnectPolicy): void {
    release()
    wait(why, comeBack)
  }

  function release (): void {
    const wasUp = core.isUp
    const old = socket
    socket = undefined
    core.isUp = false
    turn++
    timer?.cancel()
    rest()
    old?.close(1000)
    if (wasUp) onDown()
  }

  function wait (why: StateCause, comeBack: ReconnectPolicy = 'soon'): void {
    // Not by the opening alone: a service that takes connections and drops them would be asked without pause.
    if (clock.monotonic() - openedAt >= STABLE_MS) attempt = 0
    openedAt = Infinity
    const drawnMs = comeBack === 'now' && attempt === 0 ? 0 : backoffMs(comeBack === 'later' ? Infinity : attempt, random)
    attempt++
    timer = clock.after(core.reconnectAt === undefined ? drawnMs : Math.max(0, core.reconnectAt - clock.monotonic()), () => connect('retry'))
    set('waiting', why)
  }

  // Last in whatever is done: a listener may close the client.
  function set (state: ClientState, cause: StateCause): void {
    core.state = state
    core.cause = cause
    emit('state', { state, cause })
  }

  function close (why: StateCause): void {
    if (core.closed) return
    release()
    listen('removeEventListener')
    onClosed(why)
    set('closed', why)
  }

  listen('addEventListener')
  connect('start')

  return {
    send: (message) => socket?.send(JSON.stringify(message)),
    close
  }
}
