// The parts of a browser or of Node.js that the client uses, as structural types: users need neither the types of the
// DOM nor those of Node.js.

/** An event of a WebSocket. */
export interface SocketEvent {
  readonly type: string
  readonly data?: unknown
  readonly code?: number
  readonly reason?: string
  /** Why an attempt failed; a browser does not tell. */
  readonly message?: string
  readonly error?: unknown
}

/** A WebSocket of a browser, of Node.js or of `ws`. */
export interface SocketLike {
  send (text: string): void
  close (code?: number): void
  addEventListener (type: 'open' | 'message' | 'close' | 'error', listener: (event: SocketEvent) => void): void
}

/** A WebSocket class. */
export interface SocketConstructor { new (url: string, protocols: string[]): SocketLike }

/** Stores cursors across page reloads, as `sessionStorage` does. */
export interface StorageLike {
  getItem (key: string): string | null
  setItem (key: string, value: string): void
}

/** `window`, as far as the client uses it: emits `online`, `pageshow` and `pagehide`. */
export interface PageEvents {
  addEventListener (type: string, listener: (event: { readonly type: string }) => void): void
  removeEventListener (type: string, listener: (event: { readonly type: string }) => void): void
}

/** `document`, as far as the client uses it: whether the page is visible, and `visibilitychange`. */
export interface PageVisibility extends PageEvents { readonly visibilityState: string }

/** An `AbortSignal`. */
export interface AbortSignalLike extends PageEvents {
  readonly aborted: boolean
  readonly reason?: unknown
}

export interface ClientTimer { cancel (): void }

/** Monotonic time in ms, and timers. */
export interface ClientClock {
  monotonic (): number
  after (ms: number, run: () => void): ClientTimer
}

/** Global objects that exist on some platforms only. */
export interface Platform {
  WebSocket?: SocketConstructor
  document?: PageVisibility
  requestAnimationFrame?: (run: () => void) => unknown
  addEventListener?: unknown
  location?: { href: string }
}

export const platform = globalThis as unknown as Platform

export const clientSystemClock: ClientClock = {
  monotonic: () => performance.now(),
  after (ms, run) {
    // A timer that is longer than 32 bits would run at once.
    const handle = setTimeout(run, Math.min(ms, 0x7fffffff))
    return { cancel: () => clearTimeout(handle) }
  }
}

/** Restarts a timer; without arguments it only cancels it. */
export type Timeout = (ms?: number, run?: () => void) => void

export function createTimeout (clock: ClientClock): Timeout {
  let timer: ClientTimer | undefined
  return (ms, run) => {
    timer?.cancel()
    timer = run && clock.after(ms!, run)
  }
}
