import type { ClientMessage } from '../../schemas/messages/client-messages.js'
import { backoffMs, readClose, type Return } from './backoff.js'
import type { Core } from './core.js'
import { ClientError } from './errors.js'
import type { ClientState, StateCause } from './events.js'
import type { ClientTimer, SocketEvent, SocketLike } from './surroundings.js'

export interface LinkEvents {
  onUp: () => void
  onDown: () => void
  onText: (text: unknown) => void
  onClosed: (cause: StateCause) => void
  /** Sends something that is answered. */
  ask: () => void
}

export interface Link {
  readonly state: ClientState
  readonly cause: StateCause
  readonly isUp: boolean
  start (): void
  /** To be called only while `isUp`. */
  send (message: ClientMessage): void
  /** The service says how often it will be heard. */
  expectEvery (heartbeatMs: number): void
  /** The service says when to come back after the cut that it is about to make. */
  comeBackAfter (ms: number): void
  close (cause: StateCause): void
}

const CONNECT_MS = 15_000
const STABLE_MS = 60_000
const VERIFY_MS = 5_000
const STALE_MS = 10_000
/** Characters of a subprotocol (RFC 6455 §4.1, RFC 9110 §5.6.2). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/
/** What brings the network or the page back. */
const WINDOW_EVENTS = ['online', 'pageshow'] as const

/** One connection at a time, made again whenever it is lost. What a socket says after another took its place is not heard. */
export function createLink (core: Core, { onUp, onDown, onText, onClosed, ask }: LinkEvents): Link {
  const { url, WebSocket, getToken, clock, random, document, window, emit } = core
  let { heartbeatMs } = core
  let state: ClientState = 'connecting'
  let cause: StateCause = 'start'
  let isUp = false
  let socket: SocketLike | undefined
  let attempt = 0
  let openedAt = Infinity
  let heardAt = 0
  let retryAfterMs: number | undefined
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
    if (isUp) verify(VERIFY_MS)
    else if (state === 'waiting' && (isDue || retryAfterMs === undefined)) connect(type as StateCause)
  }

  function listen (how: 'addEventListener' | 'removeEventListener'): void {
    document?.[how]('visibilitychange', nudge)
    for (const type of WINDOW_EVENTS) window?.[how](type, nudge)
  }

  function connect (why: StateCause): void {
    timer?.cancel()
    isDue = isHidden()
    if (isDue) return set('waiting', 'hidden')
    retryAfterMs = undefined
    const mine = ++turn
    set('connecting', why)
    if (mine === turn) open(mine)
  }

  async function open (mine: number): Promise<void> {
    const protocols: string[] = []
    try {
      // Not at once, so that listeners that are added after `connect` hear of all that fails.
      await undefined
      const token = await getToken?.()
      if (mine !== turn) return
      if (getToken) protocols.push('bearer', token!)
    } catch (err) {
      if (mine !== turn) return
      emit('error', new ClientError('TOKEN_FAILED', 'getToken', err))
      return wait('token_failed')
    }
    if (protocols.some((text) => typeof text !== 'string' || !TOKEN.test(text))) {
      emit('error', new ClientError('INVALID_TOKEN', 'getToken'))
      return close('invalid_token')
    }
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
      isUp = true
      openedAt = heardAt = clock.monotonic()
      watch()
      onUp()
      set('open', 'connected')
    })
    on('message', ({ data }) => {
      heard()
      if (isUp) onText(data)
    })
    on('close', ({ code, reason }) => {
      const [why, comeBack] = readClose(code!, reason!)
      if (comeBack === 'never') close(why)
      else drop(isUp ? why : 'unreachable', comeBack)
    })
    // Not every WebSocket tells of the close of one that never was open.
    on('error', () => { if (!isUp) drop('unreachable') })
  }

  function heard (): void {
    heardAt = clock.monotonic()
    rest()
    if (state !== 'stale') return
    watch()
    set('open', 'answered')
  }

  function watch (): void {
    const leftMs = (): number => heardAt + 2 * heartbeatMs - clock.monotonic()
    timer?.cancel()
    timer = clock.after(leftMs(), () => {
      if (leftMs() > 0) return watch()
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

  function drop (why: StateCause, comeBack?: Return): void {
    release()
    wait(why, comeBack)
  }

  function release (): void {
    const wasUp = isUp
    const old = socket
    socket = undefined
    isUp = false
    turn++
    timer?.cancel()
    rest()
    old?.close(1000)
    if (wasUp) onDown()
  }

  function wait (why: StateCause, comeBack: Return = 'soon'): void {
    // Not by the opening alone: a service that takes connections and drops them would be asked without pause.
    if (clock.monotonic() - openedAt >= STABLE_MS) attempt = 0
    openedAt = Infinity
    const drawnMs = comeBack === 'now' && attempt === 0 ? 0 : backoffMs(comeBack === 'later' ? Infinity : attempt, random)
    attempt++
    timer = clock.after(retryAfterMs ?? drawnMs, () => connect('retry'))
    set('waiting', why)
  }

  // Last in whatever is done: a listener may close the client.
  function set (next: ClientState, why: StateCause): void {
    state = next
    cause = why
    emit('state', { state, cause })
  }

  function close (why: StateCause): void {
    if (state === 'closed') return
    release()
    listen('removeEventListener')
    onClosed(why)
    set('closed', why)
  }

  return {
    get state () { return state },
    get cause () { return cause },
    get isUp () { return isUp },
    start () {
      listen('addEventListener')
      connect('start')
    },
    send: (message) => socket?.send(JSON.stringify(message)),
    expectEvery (ms) {
      heartbeatMs = ms
      watch()
    },
    comeBackAfter (ms) { retryAfterMs = ms },
    close
  }
}
