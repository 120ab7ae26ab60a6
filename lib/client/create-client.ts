import type { Client } from './client.js'
import { createCommands } from './connection/commands.js'
import { createRequests } from './connection/requests.js'
import { createTransport } from './connection/transport.js'
import { createContext } from './context.js'
import { ClientError } from './errors.js'
import { iterateMissions } from './missions/iterators.js'
import { waitFor } from './missions/wait-for.js'
import { createMissionsState } from './missions/store.js'
import { createWaiters } from './missions/waiters.js'
import type { ResolvedClientOptions } from './options.js'
import { createReceiver } from './receiver.js'
import { createCursorStore, cursorsOf } from './subscriptions/cursors.js'
import { sendSubscribe } from './subscriptions/subscribe.js'
import { createClientSubscriptions } from './subscriptions/subscriptions.js'

/** Assembles a client from its parts. */
export function createClient (options: ResolvedClientOptions): Client {
  const context = createContext(options)
  const missionsState = createMissionsState(context)
  const store = createCursorStore(context)
  const requests = createRequests(context)
  const commands = createCommands(context, requests)
  const waiters = createWaiters(context, requests.ask)
  const { ready, refuse } = createClientSubscriptions(context, store, waiters)
  const close = createTransport(context, {
    onUp () {
      sendSubscribe(context, context.subscriptions)
      requests.onUp()
      return createReceiver(context, requests, waiters)
    },
    onDown () {
      requests.onDown()
      waiters.onDown()
      for (const { retry } of context.subscriptions) retry()
    },
    onClosed (cause) {
      const error = context.closed = new ClientError('CLOSED', cause)
      store.save()
      refuse(error)
      for (const part of [requests, waiters]) part.close(error)
    },
    onHide: store.save,
    ping: () => { commands.ping().catch(() => {}) }
  })

  return {
    get state () { return context.state },
    get cause () { return context.cause },
    ready,
    get rttMs () { return context.rttMs },
    get cursors () { return cursorsOf(context.subscriptions) },
    missionsState,
    on: context.on,
    missions: (options) => iterateMissions(context, waiters, options),
    waitFor: (id, limits) => waitFor(context, waiters, id, limits),
    ...commands,
    close: () => close('closed')
  }
}
