import { toBuckets } from '../buckets.js'
import { countsByLabel } from '../samples.js'
import type { MetricDefinition, Sample } from '../metric-definition.js'
import type { DurationTotals, HubTotals } from '../sources.js'

/** Figures of the WebSocket route, the same numbers that its JSON metrics show and those by reason beside them. */
export function describeWebSocketMetrics (prefix: string, hub: () => HubTotals): MetricDefinition[] {
  const metric = (type: 'counter' | 'gauge', name: string, help: string, read: (hub: HubTotals) => Sample[]): MetricDefinition =>
    ({ name: `${prefix}ws_${name}`, help, type, aggregator: 'sum', read: () => read(hub()) })
  const histogram = (name: string, help: string, read: (hub: HubTotals) => DurationTotals): MetricDefinition => {
    const whole = `${prefix}ws_${name}`
    return {
      name: whole,
      help,
      type: 'histogram',
      aggregator: 'sum',
      read () {
        const { boundsMs, buckets, sumMs } = read(hub())
        return toBuckets(whole, boundsMs, { labels: {}, sumMs, buckets })
      }
    }
  }
  const gauge = metric.bind(null, 'gauge')
  const counter = metric.bind(null, 'counter')
  return [
    gauge('connections', 'WebSocket connections that are open.', ({ metrics }) => single(metrics.connectionsOpen)),
    counter('connections_opened_total', 'WebSocket connections that were ever opened.', ({ metrics }) => single(metrics.connectionsTotal)),
    counter('messages_sent_total', 'Messages sent to clients, replies and heartbeats among them.', ({ metrics }) => single(metrics.messagesSentTotal)),
    counter('messages_received_total', 'Messages that came from clients.', (hub) => single(hub.messagesReceivedTotal)),
    counter('bytes_sent_total', 'Bytes of the messages sent to clients.', (hub) => single(hub.bytesSentTotal)),
    counter('messages_replaced_total', 'Messages that were never sent because a newer one took their place.', (hub) => single(hub.replacedTotal)),
    counter('messages_dropped_total', 'Messages that still waited for a client when its connection ended.', (hub) => single(hub.droppedTotal)),
    gauge('outbox_bytes', 'Bytes that wait for clients that do not read; messages that wait for several count for each.', (hub) => single(hub.outboxBytes)),
    gauge('lagging_connections', 'Connections that are behind and will be fed from the log.', (hub) => single(hub.lagging)),
    counter('lagged_total', 'How often a connection fell that far behind.', (hub) => single(hub.laggedTotal)),
    counter('lagging_seconds_total', 'Time that connections were behind, summed up.', (hub) => single(hub.laggingMs / 1_000)),
    counter('gaps_total', 'Gaps that clients were told of, by cause.', (hub) => countsByLabel('cause', Object.entries(hub.gaps))),
    counter('subscription_outcomes_total', 'Subscriptions that began with the present, with all that was missed, or with a gap.', (hub) => countsByLabel('outcome', Object.entries(hub.outcomes))),
    gauge('log_messages', 'Messages that are kept for clients that fall behind or come back.', (hub) => single(hub.logged.messages)),
    gauge('log_bytes', 'Bytes of the same.', (hub) => single(hub.logged.bytes)),
    gauge('drain_seconds', 'How long it took to send all clients away; 0 before.', (hub) => single(hub.drainMs / 1_000)),
    gauge('event_loop_lag_seconds', 'Worst lateness of the event loop within the last second.', (hub) => single(hub.eventLoopDelayMs / 1_000)),
    histogram('ping_round_trip_seconds', 'Time from a ping to its pong.', ({ pingRoundTrip }) => pingRoundTrip),
    histogram('fan_out_seconds', 'Time that the writes of one turn of the event loop took.', ({ fanOut }) => fanOut),
    counter('subscriptions_total', 'Subscriptions that clients ever took.', ({ metrics }) => single(metrics.subscriptionsTotal)),
    gauge('subscribers', 'Subscribers of a channel now.', (hub) => countsByLabel('channel', hub.subscribers)),
    counter('refused_total', 'Upgrades that were refused, by reason.', (hub) => countsByLabel('reason', Object.entries(hub.refused))),
    counter('closed_total', 'Connections that were closed, by reason.', (hub) => countsByLabel('reason', Object.entries(hub.closed))),
    counter('protocol_errors_total', 'Protocol errors sent to clients, by code.', (hub) => countsByLabel('code', Object.entries(hub.protocolErrors)))
  ]
}

const single = (value: number): Sample[] => [{ labels: {}, value }]
