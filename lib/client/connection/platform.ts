// What the client needs of the place it runs in, by shape: users need neither the DOM's types nor those of Node.js.

/** An event of a WebSocket, of whatever kind. */
export interface SocketEvent {
  readonly type: string
  readonly data?: unknown
  readonly code?: number
  readonly reason?: string
}

/** A WebSocket: a browser's, that of Node.js, or one of `ws`. */
export interface SocketLike {
  send (text: string): void
  close (code?: number): void
  addEventListener (type: 'open' | 'message' | 'close' | 'error', listener: (event: SocketEvent) => void): void
}

/** The class of such sockets. */
export interface SocketConstructor { new (url: string, protocols: string[]): SocketLike }

/** Where cursors are kept over a reload; `sessionStorage` is one. */
export interface StorageLike {
  getItem (key: string): string | null
  setItem (key: string, value: string): void
}

/** What `window` tells: `online`, `pageshow` and `pagehide`. */
export interface PageEvents {
  addEventListener (type: string, listener: (event: { readonly type: string }) => void): void
  removeEventListener (type: string, listener: (event: { readonly type: string }) => void): void
}

/** What `document` tells: whether the page is seen, and `visibilitychange`. */
export interface PageVisibility extends PageEvents { readonly visibilityState: string }

/** An `AbortSignal`. */
export interface AbortSignalLike extends PageEvents {
  readonly aborted: boolean
  readonly reason?: unknown
}

export interface ClientTimer { cancel (): void }

/** Time in ms that never goes back, and timers. */
export interface ClientClock {
  monotonic (): number
  after (ms: number, run: () => void): ClientTimer
}

/** What there may be of a page, or of the place that is none. */
export interface Platform {
  WebSocket?: SocketConstructor
  document?: PageVisibility
  addEventListener?: unknown
  location?: { href: string }
}

export const platform = globalThis as unknown as Platform

export const clientSystemClock: ClientClock = {
  monotonic: () => performance.now(),
  after (ms, run) {
    // A longer one would run at once.
    const handle = setTimeout(run, Math.min(ms, 0x7fffffff))
    return { cancel: () => clearTimeout(handle) }
  }
}
