import { frame, sleep, text } from './wire.mjs'
import { startWorker } from './worker.mjs'
import { startWitness, timeNewClient } from './witness.mjs'

const MB = 1_000_000

/** A figure and its bound. Without `bound` the figure always holds. */
const figure = (name, value, unit, bound) => {
  const holds = bound === undefined || value <= bound
  return { name, value: Math.round(value * 100) / 100, unit, bound, holds }
}

/** A value that must equal `expected`. */
const exact = (name, value, expected) => ({ name, value, unit: '', bound: expected, holds: value === expected })

/** Runs one scenario with a new server process and a new process of attackers. */
async function against (settings, run) {
  const [server, attacker] = [startWorker('server.mjs'), startWorker('attacker.mjs')]
  try {
    const port = await server.call('start', settings)
    return await run({ server, port, attack: (command, args) => attacker.call(command, { port, ...args }) })
  } finally {
    await Promise.all([attacker.stop(), server.stop()])
  }
}

/** Memory growth during `run` in MB, up to its peak and including uncollected garbage. */
async function growthMb (server, run) {
  const before = await server.call('resetPeak')
  const result = await run()
  return { growth: (await server.call('peak') - before) / MB, result }
}

const baseline = () => against({}, async ({ port }) => {
  const witness = await startWitness(port)
  await sleep(3_000)
  const { p99Ms, maxMs } = await witness.end()
  return [
    figure('no attack: ping of a client, p99', p99Ms, 'ms', undefined),
    figure('no attack: ping of a client, max', maxMs, 'ms', undefined)
  ]
})

const floods = (kind, maxGrowthMb) => () => against({}, async ({ server, port, attack }) => {
  const witness = await startWitness(port)
  await sleep(1_000)
  const { growth, result: { closes } } = await growthMb(server, () => attack('flood', { kind, frames: 100_000 }))
  const { p99Ms, wasClosed } = await witness.end()
  return [
    figure(`100,000 ${kind}: ping of another client, p99`, p99Ms, 'ms', 100),
    figure(`100,000 ${kind}: growth of memory`, growth, 'MB', maxGrowthMb),
    exact(`100,000 ${kind}: close codes`, Object.keys(closes).join(' '), '1008'),
    exact(`100,000 ${kind}: the other client was closed`, wasClosed, false)
  ]
})

const unreadBroadcasts = () => against({}, async ({ server, port, attack }) => {
  await server.call('feed', { perSecond: 500, bytes: 10_000 })
  const witness = await startWitness(port)
  const mute = { connections: 200, channel: 'mission_update', durationMs: 20_000 }
  const { growth, result } = await growthMb(server, () => attack('mute', mute))
  const { p99Ms, wasClosed } = await witness.end()
  return [
    figure('200 clients that do not read 5 MB/s: growth of memory', growth, 'MB', 250),
    figure('200 clients that do not read 5 MB/s: ping of another client, p99', p99Ms, 'ms', 100),
    figure('200 clients that do not read 5 MB/s: reconnects after a disconnect', result.returns, '', undefined),
    exact('200 clients that do not read 5 MB/s: the other client was closed', wasClosed, false)
  ]
})

// Broadcasts are kept once; only replies are kept per connection. Replies are the worst case for memory.
const unreadReplies = () => against({}, async ({ server, port, attack }) => {
  await server.call('fillHealth', { components: 100 })
  const witness = await startWitness(port)
  const mute = { connections: 200, channel: 'health_delta', durationMs: 40_000, togglesPerSecond: 20 }
  const { growth, result } = await growthMb(server, () => attack('mute', mute))
  const { closed } = await server.call('counters')
  const { p99Ms } = await witness.end()
  const title = '200 clients that do not read their own replies'
  return [
    figure(`${title}: growth of memory`, growth, 'MB', 250),
    figure(`${title}: ping of another client, p99`, p99Ms, 'ms', undefined),
    figure(`${title}: closed as slow consumers`, closed.slow_consumer, '', undefined),
    figure(`${title}: reconnects after a disconnect`, result.returns, '', undefined)
  ]
})

const unfinished = (title, settings, fragments, bytes, bound) => () => against(settings, async ({ server, attack }) => {
  await sleep(500)
  const { growth, result } = await growthMb(server, () => attack('unfinished', { connections: 40, fragments, bytes }))
  const { none = 0, ...closes } = result.closes
  const disconnected = Object.values(closes).reduce((sum, count) => sum + count, 0)
  return [
    figure(`${title}: growth of memory`, growth, 'MB', bound),
    figure(`${title}: sent`, result.sentBytes / MB, 'MB', undefined),
    figure(`${title}: disconnected`, disconnected, `of ${disconnected + none}`, undefined)
  ]
})

const connects = () => against({ options: { websocket: { maxConnections: 1_000 } } }, async ({ server, attack }) => {
  const { statuses } = await attack('connects', { total: 10_000, atOnce: 200 })
  const { connectionsOpen, connectionsTotal } = await server.call('counters')
  return [
    exact('10,000 connects against a limit of 1,000: responses with 101', statuses[101], 1_000),
    exact('10,000 connects against a limit of 1,000: responses with 503', statuses[503], 9_000),
    exact('10,000 connects against a limit of 1,000: connections open', connectionsOpen, 1_000),
    exact('10,000 connects against a limit of 1,000: connections counted', connectionsTotal, 1_000)
  ]
})

const slowHandshakes = () => against({}, async ({ port, attack }) => {
  const done = attack('drip', { connections: 300, durationMs: 3_000 })
  await sleep(500)
  const took = []
  for (let at = 0; at < 20; at++) {
    took.push(await timeNewClient(port))
    await sleep(50)
  }
  await done
  return [figure('300 slow handshakes: first reply to a new client, slowest of 20', Math.max(...took), 'ms', 1_000)]
})

const NESTED = (levels) => text('['.repeat(levels) + ']'.repeat(levels))
const NAMES = (count) => text({ type: 'subscribe', channels: Array.from({ length: count }, () => 'xx') })
const PROPERTIES = text({
  type: 'ping',
  ...Object.fromEntries(Array.from({ length: 3_500 }, (_, at) => [`property${at}`, at]))
})
const FRAGMENTS = (count) => [frame(1, '', false), ...Array.from({ length: count - 1 }, () => frame(0, '', false))]

/** Invalid messages by `maxPayloadBytes`. A limit above the default has no bound; it shows the cost of that setting. */
const BAD_MESSAGES = {
  16_384: {
    'JSON of 8,000 levels': NESTED(8_000),
    '16 kB of invalid UTF-8': frame(2, Buffer.alloc(16_000, 0xff)),
    'a message of 10 MB': frame(1, Buffer.alloc(10_000_000, 'x')),
    '10,000 fragments': Buffer.concat(FRAGMENTS(10_000))
  },
  65_536: {
    'a subscribe of 11,988 names': NAMES(11_988),
    '60 kB of unknown properties': PROPERTIES,
    'JSON of 30,000 levels': NESTED(30_000)
  },
  1_000_000: {
    'JSON of 400,000 levels, with a limit of 1 MB': NESTED(400_000)
  }
}

const limitPayload = (maxPayloadBytes) => ({ options: { websocket: { maxPayloadBytes } } })

const badMessages = (limit, boundMs) => () => against(limitPayload(limit), async ({ server, attack }) => {
  const figures = []
  for (const [title, message] of Object.entries(BAD_MESSAGES[limit])) {
    await server.call('resetPeak')
    let lagMs = 0
    let replyBytes = 0
    for (let round = 0; round < 5; round++) {
      await server.call('resetLag')
      const { bytesIn } = await attack('single', { bytes: message.toString('base64') })
      lagMs = Math.max(lagMs, await server.call('lagMs'))
      replyBytes = Math.max(replyBytes, bytesIn)
    }
    figures.push(figure(`${title}: longest event loop delay`, lagMs, 'ms', boundMs))
    figures.push(figure(`${title}: reply`, replyBytes, 'B', 8_192))
  }
  return figures
})

const SUBSCRIBE_TO_ALL = text({
  type: 'subscribe',
  channels: ['metrics_tick', 'health_delta', 'mission_stats', 'mission_update', 'anomaly_alert']
})

// The worst case: each name costs a whole reply.
const ONE_LETTER_NAMES = Array.from({ length: 64 }, (_, at) => String.fromCodePoint(93 + at))

const ratios = () => against({}, async ({ attack }) => {
  const messages = {
    '64 different unknown names of one letter': [text({ type: 'subscribe', channels: ONE_LETTER_NAMES }), 90],
    '64 equal unknown names': [text({ type: 'subscribe', channels: Array(64).fill('x') }), 10],
    '64 empty names': [text({ type: 'unsubscribe', channels: Array(64).fill('') }), 10],
    'one unknown name': [text({ type: 'subscribe', channels: ['x'] }), 10],
    '65 names': [text({ type: 'subscribe', channels: Array(65).fill('') }), 10],
    'a subscribe to all channels, including snapshots': [SUBSCRIBE_TO_ALL, undefined],
    'a ping': [text({ type: 'ping' }), undefined],
    'a whoami': [text({ type: 'whoami' }), undefined],
    'one letter that is not JSON': [text('x'), undefined]
  }
  const figures = []
  for (const [title, [message, bound]] of Object.entries(messages)) {
    const { bytesOut, bytesIn } = await attack('single', { bytes: message.toString('base64') })
    figures.push(figure(`${title}: ${bytesIn} B for ${bytesOut} B`, bytesIn / bytesOut, 'x', bound))
  }
  return figures
})

const closing = (title, isBesideHost) => () => against({ isBesideHost, options: { missions: { closeGraceMs: 1 } } }, async ({ server, attack }) => {
  await attack('freeze', { connections: 200, channel: 'mission_update' })
  await server.call('feed', { perSecond: 500, bytes: 10_000 })
  await sleep(1_000)
  return [figure(`close with 200 frozen clients, ${title}`, await server.call('close'), 'ms', 5_000)]
})

const MISSIONS = 10_000
const FOREIGN = { mission_update: { epoch: 'another process', offset: 1, id: 'message_1' } }
const UNSUBSCRIBE = { type: 'unsubscribe', channels: ['mission_update'] }
const subscribe = (more) => ({ type: 'subscribe', channels: ['mission_update'], ...more })
const sizeOf = async (attack) => (await attack('single', { bytes: text(subscribe()).toString('base64'), waitMs: 3_000 })).bytesIn

// What one client may cause with few bytes.
const handOvers = () => against({}, async ({ server, port, attack }) => {
  const ids = await server.call('startMissions', { count: MISSIONS })
  const stateBytes = await sizeOf(attack)
  const statuses = (...names) => ({ statuses: names })
  const attacks = {
    'alternating filters, a cursor and `snapshot`': [
      subscribe({ snapshot: true, since: FOREIGN, filter: statuses('execution_started') }),
      subscribe({ snapshot: true, since: FOREIGN, filter: statuses('execution_started', 'planned') })
    ],
    'subscribe and unsubscribe': [subscribe(), UNSUBSCRIBE],
    'filters that fit nothing': [
      subscribe({ filter: { names: ['none'] } }), subscribe({ filter: { names: ['none', 'neither'] } })
    ],
    '64 ids': [subscribe({ filter: { missionIds: ids.slice(0, 64) } }), subscribe({ filter: { missionIds: ids.slice(64, 128) } })]
  }
  const figures = []
  for (const [title, messages] of Object.entries(attacks)) {
    const witness = await startWitness(port)
    await server.call('resetCpu')
    await server.call('resetLag')
    const { bytesIn } = await attack('ask', { messages, perSecond: 48, durationMs: 6_000 })
    const cpuMs = await server.call('cpuMs')
    const { p50Ms, p99Ms } = await witness.end()
    const prefix = `10,000 missions, ${title}, 48 messages a second for 6 s`
    figures.push(figure(`${prefix}: bytes sent by the service`, bytesIn / stateBytes, 'x its state', 64))
    figures.push(figure(`${prefix}: CPU`, cpuMs / 60, '% of a core', undefined))
    figures.push(figure(`${prefix}: longest event loop delay`, await server.call('lagMs'), 'ms', 50))
    figures.push(figure(`${prefix}: ping of another client, p50`, p50Ms, 'ms', undefined))
    figures.push(figure(`${prefix}: ping of another client, p99`, p99Ms, 'ms', 100))
  }
  return figures
})

const bursts = (metadataBytes) => () => against({}, async ({ server, attack }) => {
  const ids = await server.call('startMissions', { count: MISSIONS, metadataBytes })
  const since = FOREIGN
  const burst = Array.from({ length: 50 }, (_, at) => [
    text(subscribe({ since, filter: { missionIds: ids.slice(at, at + 64) } })), text(UNSUBSCRIBE)
  ])
  const frames = {
    'a filter that fits nothing': text(subscribe({ filter: { names: ['none'] } })),
    'a subscribe': text(subscribe()),
    'the same again': text(subscribe()),
    '100 messages at once, 64 ids and a foreign epoch': Buffer.concat(burst.flat())
  }
  const figures = []
  for (const [title, bytes] of Object.entries(frames)) {
    await sleep(500)
    await server.call('resetLag')
    await attack('single', { bytes: bytes.toString('base64'), waitMs: 3_000 })
    const name = `10,000 missions with ${metadataBytes} B of metadata, ${title}: longest event loop delay`
    figures.push(figure(name, await server.call('lagMs'), 'ms', 50))
  }
  return figures
})

const keptEndings = () => against({}, async ({ server, port, attack }) => {
  await server.call('startMissions', { count: MISSIONS, active: 0 })
  const witness = await startWitness(port)
  await server.call('resetCpu')
  const messages = [subscribe({ since: FOREIGN }), UNSUBSCRIBE]
  await attack('ask', { messages, connections: 5, perSecond: 48, durationMs: 6_000 })
  const cpuMs = await server.call('cpuMs')
  const { p99Ms } = await witness.end()
  return [
    figure('10,000 kept endings, five clients with a foreign epoch: CPU', cpuMs / 60, '% of a core', undefined),
    figure('10,000 kept endings, five clients with a foreign epoch: ping of another client, p99', p99Ms, 'ms', 100)
  ]
})

// Slow readers whose messages are no longer in the log read again at the same moment.
const wakeTogether = (clients) => () => {
  const options = { websocket: { history: { maxMessages: 1_000 } } }
  return against({ options }, async ({ server, port, attack }) => {
    await server.call('startMissions', { count: MISSIONS })
    await attack('freeze', { connections: clients, channel: 'mission_update' })
    await server.call('feed', { perSecond: 500, bytes: 5_000 })
    await sleep(10_000)
    const witness = await startWitness(port)
    await sleep(1_000)
    await server.call('resetLag')
    await attack('wake', { durationMs: 8_000 })
    const { p99Ms } = await witness.end()
    const title = `${clients} slow readers that wake together, 10,000 missions`
    return [
      figure(`${title}: ping of another client, p99`, p99Ms, 'ms', 100),
      figure(`${title}: longest event loop delay`, await server.call('lagMs'), 'ms', undefined)
    ]
  })
}

/** All scenarios by title, in the order of the report. */
export const SCENARIOS = {
  'no attack': baseline,
  'flood of pings': floods('pings', 50),
  'flood of bad frames': floods('bad frames', 50),
  'flood of ping frames': floods('ping frames', 60),
  'flood of pong frames': floods('pong frames', 60),
  'clients that do not read': unreadBroadcasts,
  'clients that do not read their replies': unreadReplies,
  'unfinished messages': unfinished('40 unfinished messages of 256 fragments', {}, 256, 60, 10),
  'unfinished messages over the limit': unfinished('40 unfinished messages of 16,000 fragments', {}, 16_000, 1, 10),
  'unfinished messages, the host\'s server': unfinished(
    '40 unfinished messages of 16,000 fragments, the host\'s WebSocket server', { isBesideHost: true }, 16_000, 1, 10
  ),
  'many connects': connects,
  'slow handshakes': slowHandshakes,
  'bad messages': badMessages(16_384, 50),
  'bad messages of 60 kB': badMessages(65_536, 50),
  'bad messages of 1 MB': badMessages(1_000_000, undefined),
  'size of replies': ratios,
  'hand-overs': handOvers,
  'hand-overs in one frame': bursts(0),
  'hand-overs in one frame, with metadata': bursts(4_000),
  'kept endings': keptEndings,
  '20 slow readers': wakeTogether(20),
  '100 slow readers': wakeTogether(100),
  'close with frozen clients': closing('the plugin\'s WebSocket server', false),
  'close with frozen clients, the host\'s server': closing('the host\'s WebSocket server', true)
}
