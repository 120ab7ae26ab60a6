import type { ServerMessage } from '../../../schemas/messages/server-messages.js'
import type { ClientContext } from '../context.js'
import type { ClientError } from '../errors.js'
import { SubscribedChannel, type ChannelEvents } from './channel.js'
import type { Cursors } from './cursors.js'
import { sendSubscribe } from './subscribe.js'

export interface ClientSubscriptions {
  /** Resolves when every channel has caught up for the first time. */
  readonly ready: Promise<void>
  readonly cursors: Cursors
  /** Whether any channel still has to catch up. */
  readonly isCatchingUp: boolean
  /** Subscribes to every channel over a new connection. */
  resume (): void
  receive (message: ServerMessage): void
  close (error: ClientError): void
}

/** All channels of a client. */
export function createClientSubscriptions (
  context: ClientContext, stored: Cursors, events: Omit<ChannelEvents, 'onRefused'>
): ClientSubscriptions {
  let setReady!: () => void
  let close!: (error: ClientError) => void
  const ready = new Promise<void>((resolve, reject) => {
    setReady = resolve
    close = reject
  })
  // Otherwise closing a client whose `ready` nobody awaits would be an unhandled rejection.
  ready.catch(() => {})

  function onCaughtUp (): void {
    if (channels.every(({ isReady }) => isReady)) setReady()
    events.onCaughtUp()
  }

  const channels = context.channels.map((name) =>
    new SubscribedChannel(context, name, stored[name as keyof Cursors], { ...events, onCaughtUp, onRefused: close }))

  return {
    ready,
    get cursors () {
      return Object.fromEntries(channels.filter(({ cursor }) => cursor).map(({ name, cursor }) => [name, cursor]))
    },
    get isCatchingUp () { return channels.some(({ remaining }) => remaining) },
    resume: () => sendSubscribe(context, channels),
    receive: (message) => channels.forEach((channel) => channel.receive(message)),
    close
  }
}
