import type { Client } from './client.js'
import { createCommands } from './connection/commands.js'
import { createRequests } from './connection/requests.js'
import { createTransport } from './connection/transport.js'
import { createContext, type ClientContext } from './context.js'
import { ClientError } from './errors.js'
import { createUpdateIterators, type UpdateIterators } from './missions/iterators.js'
import { isTerminalStatus } from './missions/mission-map.js'
import { waitFor } from './missions/wait-for.js'
import { createWaiters, type Waiters } from './missions/waiters.js'
import type { ResolvedClientOptions } from './options.js'
import { createReceiver } from './receiver.js'
import type { ChannelMessage } from './subscriptions/channel.js'
import { createCursorStore } from './subscriptions/cursors.js'
import { createClientSubscriptions } from './subscriptions/subscriptions.js'

/** Assembles a client from its parts. */
export function createClient (options: ResolvedClientOptions): Client {
  const context = createContext(options)
  const store = createCursorStore(context, () => subscriptions.cursors)
  const requests = createRequests(context)
  const commands = createCommands(context, requests)
  const waiters = createWaiters(context, requests.ask, () => context.isUp && !subscriptions.isCatchingUp)
  const iterators = createUpdateIterators(context, waiters)
  const subscriptions = createClientSubscriptions(context, store.load(options.channels), {
    onMessage: (message) => publish(message, context, iterators, waiters),
    onCursorMoved: store.touch,
    onLost: waiters.onLost,
    onCaughtUp: waiters.onCaughtUp
  })
  const close = createTransport(context, {
    onUp () {
      subscriptions.resume()
      requests.onUp()
      return createReceiver(context, requests, subscriptions, waiters)
    },
    onDown () {
      requests.onDown()
      waiters.onDown()
    },
    onClosed (cause) {
      const error = context.closed = new ClientError('CLOSED', cause)
      for (const part of [store, subscriptions, requests, iterators, waiters]) part.close(error)
    },
    ping: () => { commands.ping().catch(() => {}) }
  })

  return {
    get state () { return context.state },
    get cause () { return context.cause },
    ready: subscriptions.ready,
    get rttMs () { return context.rttMs },
    get cursors () { return subscriptions.cursors },
    missionsState: context.missions.states,
    on: context.on,
    missions: iterators.iterate,
    waitFor: (id, limits) => waitFor(context, waiters, id, limits),
    ...commands,
    close: () => close('closed')
  }
}

/** Passes a new message on to listeners, iterations and waiting calls. */
function publish (message: ChannelMessage, context: ClientContext, iterators: UpdateIterators, waiters: Waiters): void {
  const { type, payload, position } = message
  if (context.closed) return
  context.emit(type, payload, message)
  if (type !== 'mission_update') return
  iterators.push(payload, !position && !isTerminalStatus(payload.status))
  waiters.onUpdate(context.missions.states.get(payload.missionId) ?? payload)
}
