import type { LoggedChannel } from '../../../schemas/channels/index.js'
import type { ClientContext } from '../context.js'
import type { ClientError } from '../errors.js'
import type { Waiters } from '../missions/waiters.js'
import { createSubscribedChannel } from './channel.js'
import type { CursorStore } from './cursors.js'

export interface ClientSubscriptions {
  /** Resolves when every channel has caught up for the first time. */
  readonly ready: Promise<void>
  /** Rejects `ready`, unless it has resolved before. */
  refuse (error: ClientError): void
}

/** Creates all channels of a client. */
export function createClientSubscriptions (
  context: ClientContext, { load, touch }: CursorStore, waiters: Waiters
): ClientSubscriptions {
  let setReady!: () => void
  let refuse!: (error: ClientError) => void
  const ready = new Promise<void>((resolve, reject) => {
    setReady = resolve
    refuse = reject
  })
  // Otherwise closing a client whose `ready` nobody awaits would be an unhandled rejection.
  ready.catch(() => {})

  function onCaughtUp (): void {
    if (context.subscriptions.every(({ isReady }) => isReady)) setReady()
    waiters.onCaughtUp()
  }

  const { channels } = context
  const stored = load(channels)
  const events = { ...waiters, onCaughtUp, onRefused: refuse, onCursorMoved: touch }
  context.subscriptions = channels.map((name) =>
    createSubscribedChannel(context, name, stored[name as LoggedChannel], events))
  return { ready, refuse }
}
