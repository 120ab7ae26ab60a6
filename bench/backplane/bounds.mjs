import { round } from '../fanout/processes.mjs'

/** The bounds of each part as `[name, value, bound]`. They apply to full runs on an idle machine. */
export const BOUNDS = {
  latency: ({ p50Ms, p99Ms, missing }) => [
    ['latency: p50, ms', p50Ms, 3],
    ['latency: p99, ms', p99Ms, 15],
    ['latency: missing', missing, 0]
  ],
  sustained: ({ perSecond, missing, surplus }) => [
    ['sustained: steps a second below 20,000', Math.max(0, round(19_900 - perSecond)), 0],
    ['sustained: missing', missing, 0],
    ['sustained: received twice', surplus, 0]
  ],
  own: (rows) => ratios('own', rows, (row) => row.missing === 0),
  everybody: (rows) => ratios('everybody', rows, ({ work }) => work === 'bursts of 10'),
  calls: ({ alone, redis }) => ['start', 'report', 'progress', 'end'].map((kind) =>
    [`one ${kind} more than without Redis and subscribers, µs`, round(redis[`${kind}Us`] - alone[`${kind}Us`]), 3]),
  memory: ({ bytes }) => [['memory of Redis for a retained mission, bytes', bytes, 1_536]],
  start: (figures) => ['active', 'ended'].filter((name) => `${name}ReadyMs` in figures).flatMap((name) => [
    [`start beside 100,000 ${name} missions, ms`, figures[`${name}ReadyMs`], 3_000],
    [`memory beside 100,000 ${name} missions, MB`, figures[`${name}RssMb`], 150]
  ]),
  idle: ({ perSecond }) => [['commands a second of an idle process', perSecond, 5]]
}

/** Each server at the highest rate that it carries without losing messages. */
function ratios (part, rows, isCounted) {
  const best = (kind) => rows.filter((row) => row.kind === kind && isCounted(row)).at(-1)?.us
  const ratio = (other) => round(best('plugin') / best(other), 3)
  return [
    [`${part}: CPU of a step, plugin / Socket.IO with streams`, ratio('socketIoStreams'), 0.2],
    [`${part}: CPU of a step, plugin / Socket.IO with pub/sub`, ratio('socketIoPubSub'), 0.333]
  ]
}
