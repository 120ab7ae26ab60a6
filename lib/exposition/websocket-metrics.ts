import { countsByLabel } from './labels.js'
import type { MetricDefinition, Sample } from './metric-definition.js'
import type { HubTotals } from './sources.js'

/** Figures of the WebSocket route, the same numbers that its JSON metrics show and those by reason beside them. */
export function describeWebSocketMetrics (prefix: string, hub: () => HubTotals): MetricDefinition[] {
  const metric = (type: 'counter' | 'gauge', name: string, help: string, read: (hub: HubTotals) => Sample[]): MetricDefinition =>
    ({ name: `${prefix}ws_${name}`, help, type, aggregator: 'sum', read: () => read(hub()) })
  const gauge = metric.bind(null, 'gauge')
  const counter = metric.bind(null, 'counter')
  return [
    gauge('connections', 'WebSocket connections that are open.', ({ metrics }) => single(metrics.connectionsOpen)),
    counter('connections_opened_total', 'WebSocket connections that were ever opened.', ({ metrics }) => single(metrics.connectionsTotal)),
    counter('messages_sent_total', 'Messages sent to clients, replies and heartbeats among them.', ({ metrics }) => single(metrics.messagesSentTotal)),
    counter('messages_received_total', 'Messages that came from clients.', (hub) => single(hub.messagesReceivedTotal)),
    counter('bytes_sent_total', 'Bytes of the messages sent to clients.', (hub) => single(hub.bytesSentTotal)),
    counter('messages_replaced_total', 'Messages that were never sent because a newer one took their place.', (hub) => single(hub.replacedTotal)),
    counter('subscriptions_total', 'Subscriptions that clients ever took.', ({ metrics }) => single(metrics.subscriptionsTotal)),
    gauge('subscribers', 'Subscribers of a channel now.', (hub) => countsByLabel('channel', hub.subscribers)),
    counter('refused_total', 'Upgrades that were refused, by reason.', (hub) => countsByLabel('reason', Object.entries(hub.refused))),
    counter('closed_total', 'Connections that were closed, by reason.', (hub) => countsByLabel('reason', Object.entries(hub.closed))),
    counter('protocol_errors_total', 'Protocol errors sent to clients, by code.', (hub) => countsByLabel('code', Object.entries(hub.protocolErrors)))
  ]
}

const single = (value: number): Sample[] => [{ labels: {}, value }]
