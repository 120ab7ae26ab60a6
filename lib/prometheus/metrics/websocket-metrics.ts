import { defineMetrics, type MetricDefinition, type MetricRow } from '../metric.js'
import { samplesByLabel, toBuckets } from '../samples.js'
import type { HubTotals } from '../sources.js'

type Row = MetricRow<HubTotals>

/** Metrics of the WebSocket route: the values of its JSON metrics, and further ones by reason. */
export function describeWebSocketMetrics (prefix: string, hub: () => HubTotals): MetricDefinition[] {
  return defineMetrics(`${prefix}ws_`, hub, [...MESSAGES, ...DELIVERY, ...TIMES, ...CLIENTS])
}

const gauge = (name: string, help: string, read: Row['read']): Row => ({ name, help, type: 'gauge', read })
const counter = (name: string, help: string, read: Row['read']): Row => ({ name, help, type: 'counter', read })
const histogram = (name: string, help: string, read: Row['read']): Row => ({ name, help, type: 'histogram', read })

const MESSAGES: readonly Row[] = [
  gauge('connections', 'Open WebSocket connections.', ({ metrics }) => metrics.connectionsOpen),
  counter('connections_opened_total', 'WebSocket connections opened since the process started.',
    ({ metrics }) => metrics.connectionsTotal),
  counter('messages_sent_total', 'Messages sent to clients, including replies and heartbeats.',
    ({ metrics }) => metrics.messagesSentTotal),
  counter('messages_received_total', 'Messages received from clients.', (hub) => hub.messagesReceivedTotal),
  counter('bytes_sent_total', 'Size of all messages sent to clients.', (hub) => hub.bytesSentTotal),
  counter('messages_replaced_total', 'Replaceable messages that were superseded before they were sent.',
    (hub) => hub.replacedTotal),
  counter('messages_dropped_total', 'Messages that were still pending when their connection closed.',
    (hub) => hub.droppedTotal)
]

const DELIVERY: readonly Row[] = [
  gauge('outbox_bytes', 'Bytes pending for slow clients; a message pending for several clients counts once per client.',
    (hub) => hub.outboxBytes),
  gauge('lagging_connections', 'Connections so far behind that they read from the message log.', (hub) => hub.lagging),
  counter('lagged_total', 'How many times a connection started to lag.', (hub) => hub.laggedTotal),
  counter('lagging_seconds_total', 'Time that connections have lagged, summed over all connections.',
    (hub) => hub.laggingMs / 1_000),
  counter('gaps_total', 'Gaps that clients were notified of, by cause.',
    (hub) => samplesByLabel('cause', Object.entries(hub.gaps))),
  counter('subscription_outcomes_total', 'Subscriptions that started fresh, were resumed completely, or had a gap.',
    (hub) => samplesByLabel('outcome', Object.entries(hub.outcomes))),
  gauge('log_messages', 'Messages in the message log.', (hub) => hub.logged.messages),
  gauge('log_bytes', 'Size of the message log.', (hub) => hub.logged.bytes)
]

const TIMES: readonly Row[] = [
  gauge('drain_seconds', 'How long it took to drain all connections; 0 before that.', (hub) => hub.drainMs / 1_000),
  gauge('event_loop_lag_seconds', 'Longest delay of the event loop within the last second.',
    (hub) => hub.eventLoopDelayMs / 1_000),
  histogram('ping_round_trip_seconds', 'Time from a ping to its pong.', (hub) => toBuckets(hub.pingRoundTrip)),
  histogram('fan_out_seconds', 'Time that the socket writes of one tick took.', (hub) => toBuckets(hub.fanOut))
]

const CLIENTS: readonly Row[] = [
  counter('subscriptions_total', 'Subscriptions since the process started.',
    ({ metrics }) => metrics.subscriptionsTotal),
  gauge('subscribers', 'Current subscribers, by channel.', (hub) => samplesByLabel('channel', hub.subscribers)),
  counter('refused_total', 'WebSocket upgrades that were refused, by reason.',
    (hub) => samplesByLabel('reason', Object.entries(hub.refused))),
  counter('closed_total', 'Connections that were closed, by reason.',
    (hub) => samplesByLabel('reason', Object.entries(hub.closed))),
  counter('protocol_errors_total', 'Protocol errors that were sent to clients, by code.',
    (hub) => samplesByLabel('code', Object.entries(hub.protocolErrors)))
]
