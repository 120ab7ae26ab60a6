import { CHANNEL_NAMES } from '../../schemas/channels/index.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import type { Connection } from './connections/connection.js'
import type { HubMetrics } from './metrics.js'
import type { Scopes } from './scopes.js'

export interface ReadingsDeps { connections: ReadonlySet<Connection>, metrics: HubMetrics, scopes: Scopes }

/** The counters of the WebSocket route, as a JSON route and the Prometheus exposition show them. */
export class Readings {
  readonly #deps: ReadingsDeps

  constructor (deps: ReadingsDeps) {
    this.#deps = deps
  }

  wsMetrics (): WsMetrics {
    const { connections, metrics, scopes } = this.#deps
    const { connectionsTotal, messagesSentTotal, subscriptionsTotal } = metrics
    return {
      connectionsOpen: connections.size,
      connectionsTotal,
      messagesSentTotal,
      subscriptionsTotal,
      channels: CHANNEL_NAMES.map((channel) => ({ channel, count: scopes.count(channel) }))
    }
  }

  /** All metrics of the hub, for the Prometheus exposition. */
  totals () {
    const { metrics, scopes } = this.#deps
    return {
      metrics: this.wsMetrics(),
      subscribers: new Map(CHANNEL_NAMES.map((name) => [name, scopes.count(name)])),
      ...metrics.read(),
      ...this.#readOutboxes(),
      logged: scopes.logged
    }
  }

  #readOutboxes () {
    let outboxBytes = 0
    let lagging = 0
    for (const { outbox } of this.#deps.connections) {
      outboxBytes += outbox.pendingBytes
      if (outbox.isLagging) lagging++
    }
    return { outboxBytes, lagging }
  }
}
