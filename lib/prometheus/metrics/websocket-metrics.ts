import { defineMetrics, type MetricDefinition, type MetricReference, type MetricRow } from '../metric.js'
import { bucketsByLabel, samplesByLabel, toBuckets } from '../samples.js'
import type { HubTotals } from '../sources.js'

type Row = MetricRow<HubTotals>
type Labelled = Pick<MetricReference, 'labels' | 'series'>

/** Metrics of the WebSocket route: the values of its JSON metrics, and further ones by reason. */
export function describeWebSocketMetrics (prefix: string, hub: () => HubTotals): MetricDefinition[] {
  return defineMetrics(`${prefix}ws_`, hub, [...MESSAGES, ...DELIVERY, ...TIMES, ...CLIENTS])
}

const row = (type: Row['type']) =>
  (name: string, help: string, query: string, read: Row['read'], labelled: Labelled = {}): Row =>
    ({ name, help, type, query, read, ...labelled })
const gauge = row('gauge')
const counter = row('counter')
const histogram = row('histogram')

/** One label whose values are known from the start. */
const by = (label: string, series: number): Labelled => ({ labels: [label], series: String(series) })

const RATE = 'rate(METRIC[5m])'
const NOW = 'sum by (job) (METRIC)'

const MESSAGES: readonly Row[] = [
  gauge('connections', 'Open WebSocket connections.', NOW, ({ metrics }) => metrics.connectionsOpen),
  counter('connections_opened_total', 'WebSocket connections opened since the process started.', RATE,
    ({ metrics }) => metrics.connectionsTotal),
  counter('messages_sent_total', 'Messages sent to clients, including replies and heartbeats.', RATE,
    ({ metrics }) => metrics.messagesSentTotal),
  counter('messages_received_total', 'Messages received from clients.', RATE, (hub) => hub.messagesReceivedTotal),
  counter('bytes_sent_total', 'Size of all messages sent to clients.', RATE, (hub) => hub.bytesSentTotal),
  counter('channel_messages_total',
    'Messages sent to clients, by channel; none stands for replies and heartbeats, which belong to no channel.',
    'sum by (channel) (rate(METRIC[5m]))',
    (hub) => samplesByLabel('channel', hub.sent.map(([channel, { messages }]) => [channel, messages])),
    by('channel', 6)),
  counter('channel_bytes_total', 'Size of the messages sent to clients before compression, by channel.',
    'sum by (channel) (rate(METRIC[5m]))',
    (hub) => samplesByLabel('channel', hub.sent.map(([channel, { bytes }]) => [channel, bytes])), by('channel', 6)),
  counter('messages_replaced_total', 'Replaceable messages that were superseded before they were sent.', RATE,
    (hub) => hub.replacedTotal),
  counter('messages_dropped_total', 'Messages that were still pending when their connection closed.', RATE,
    (hub) => hub.droppedTotal)
]

const DELIVERY: readonly Row[] = [
  gauge('outbox_bytes', 'Bytes pending for slow clients; a message pending for several clients counts once per client.',
    NOW, (hub) => hub.outboxBytes),
  gauge('lagging_connections', 'Connections so far behind that they read from the message log.', NOW,
    (hub) => hub.lagging),
  counter('lagged_total', 'How many times a connection started to lag.', RATE, (hub) => hub.laggedTotal),
  counter('lagging_seconds_total', 'Time that connections have lagged, summed over all connections.', RATE,
    (hub) => hub.laggingMs / 1_000),
  counter('gaps_total', 'Gaps that clients were notified of, by cause.', 'sum by (cause) (increase(METRIC[1h]))',
    (hub) => samplesByLabel('cause', Object.entries(hub.gaps)), by('cause', 5)),
  counter('subscription_outcomes_total', 'Subscriptions that started fresh, were resumed completely, or had a gap.',
    'sum by (outcome) (rate(METRIC[5m]))', (hub) => samplesByLabel('outcome', Object.entries(hub.outcomes)),
    by('outcome', 3)),
  gauge('log_messages', 'Messages in the message log.', NOW, (hub) => hub.logged.messages),
  gauge('log_bytes', 'Size of the message log.', NOW, (hub) => hub.logged.bytes)
]

const TIMES: readonly Row[] = [
  gauge('drain_seconds', 'How long it took to drain all connections; 0 before that.', 'METRIC',
    (hub) => hub.drainMs / 1_000),
  gauge('event_loop_lag_seconds', 'Longest delay of the event loop within the last second; unrelated to connections ' +
    'that lag.', 'max by (job) (METRIC)', (hub) => hub.eventLoopDelayMs / 1_000),
  histogram('ping_round_trip_seconds', 'Time from a ping to its pong.',
    'histogram_quantile(0.95, sum by (le) (rate(METRIC_bucket[15m])))', (hub) => toBuckets(hub.pingRoundTrip)),
  histogram('fan_out_seconds', 'Time that the socket writes of one tick took.',
    'histogram_quantile(0.99, sum by (le) (rate(METRIC_bucket[5m])))', (hub) => toBuckets(hub.fanOut)),
  histogram('delivery_seconds', 'Time from the report of a message until it was written to the socket of a client, ' +
    'by class: reliable or replaceable. Snapshots and messages read from the message log are not included.',
  'histogram_quantile(0.99, sum by (le, class) (rate(METRIC_bucket[5m])))',
  (hub) => bucketsByLabel('class', Object.entries(hub.delays)), by('class', 2))
]

const CLIENTS: readonly Row[] = [
  counter('subscriptions_total', 'Subscriptions since the process started.', RATE,
    ({ metrics }) => metrics.subscriptionsTotal),
  gauge('subscribers', 'Current subscribers, by channel.', 'sum by (channel) (METRIC)',
    (hub) => samplesByLabel('channel', hub.subscribers), by('channel', 5)),
  counter('refused_total', 'WebSocket upgrades that were refused, by reason: host, origin, connections (too many ' +
    'open), rate (too many per second), overload (event loop delay), closing or timeout (a hook hangs).',
  'sum by (reason) (rate(METRIC[5m]))', (hub) => samplesByLabel('reason', Object.entries(hub.refused)),
  by('reason', 7)),
  counter('closed_total', 'Connections that were closed by the server, by the reason of the close code.',
    'sum by (reason) (rate(METRIC[5m]))', (hub) => samplesByLabel('reason', Object.entries(hub.closed)),
    by('reason', 9)),
  counter('protocol_errors_total', 'Errors that were sent to clients, by error code.',
    'sum by (code) (rate(METRIC[5m]))', (hub) => samplesByLabel('code', Object.entries(hub.protocolErrors)),
    by('code', 13))
]
