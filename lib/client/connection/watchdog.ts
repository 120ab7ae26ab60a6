import { setState, type ClientContext } from '../context.js'
import type { StateCause } from '../types.js'
import type { ClientTimer, Timeout } from './platform.js'

export interface ConnectionWatchdog {
  /** The connection becomes stale, and is then lost, unless a message arrives within two heartbeats. */
  expectMessage (): void
  /** Loses the connection unless a message arrives within this time. */
  verify (withinMs: number): void
  stop (): void
}

const STALE_MS = 10_000

/** Notices a connection that makes no progress. `ping` sends a message that the service always answers. */
export function createWatchdog (
  context: ClientContext, restart: Timeout, ping: () => void, lose: (cause: StateCause) => void
): ConnectionWatchdog {
  let probe: ClientTimer | undefined

  function verify (withinMs: number): void {
    probe ??= context.clock.after(withinMs, () => lose('no_answer'))
    ping()
  }

  return {
    expectMessage () {
      restart(2 * context.heartbeatMs, () => {
        verify(STALE_MS)
        setState(context, 'stale', 'silent')
      })
    },
    verify,
    stop () {
      restart()
      probe?.cancel()
      probe = undefined
    }
  }
}
