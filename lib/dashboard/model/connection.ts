import type { ClientState, StateCause } from '../../client/index.js'

export type Tone = 'good' | 'busy' | 'bad'

/** The connection as the page describes it. `isLive`: the page shows the current state. */
export interface ConnectionView {
  readonly tone: Tone
  readonly text: string
  readonly isLive: boolean
  /** The action offered to the visitor. */
  readonly action: 'retry' | 'reload' | undefined
}

export interface ConnectionFacts {
  state: ClientState
  /** `token_failed` also while the client tries to get a token again. */
  cause: StateCause
  /** When the next attempt to connect is due. */
  retryAt: number | undefined
  /** When the last message came. */
  lastMessageAt: number | undefined
  /** Whether the page has been live before. */
  wasLive: boolean
  /** Whether all channels have caught up on this connection. */
  isCaughtUp: boolean
}

const LIVE: ConnectionView = { tone: 'good', text: 'live', isLive: true, action: undefined }

const NO_TOKEN = 'session expired, trying again'

const FINAL: Partial<Record<string, string>> = {
  unauthorised: 'session expired',
  invalid_token: 'session expired',
  closed: 'disconnected'
}

/** The state of the connection in words. */
export function describeConnection (facts: ConnectionFacts, nowMs: number): ConnectionView {
  const { state, cause, retryAt, lastMessageAt, wasLive, isCaughtUp } = facts
  const seconds = (ms: number) => Math.max(0, Math.ceil(ms / 1_000))
  const wait = (text: string, action?: 'retry'): ConnectionView => ({ tone: 'busy', text, isLive: false, action })
  switch (state) {
    case 'open':
      return isCaughtUp ? LIVE : wait(wasLive ? 'catching up' : 'loading')
    case 'stale':
      return wait(`stale for ${seconds(nowMs - (lastMessageAt ?? nowMs))} s`)
    case 'connecting':
      return wait(cause === 'token_failed' ? NO_TOKEN : wasLive ? 'reconnecting' : 'connecting')
    case 'waiting':
      if (cause === 'hidden') return wait('paused in the background')
      if (cause === 'token_failed') return wait(NO_TOKEN, 'retry')
      return wait(retryAt === undefined ? 'reconnecting' : `reconnecting in ${seconds(retryAt - nowMs)} s`, 'retry')
    case 'closed':
      return { tone: 'bad', text: FINAL[cause] ?? `disconnected: ${cause}`, isLive: false, action: 'reload' }
  }
}
