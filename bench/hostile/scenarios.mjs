import { frame, sleep, text } from './wire.mjs'
import { startWorker } from './worker.mjs'
import { startWitness, timeNewcomer } from './witness.mjs'

const MB = 1_000_000

/** A figure beside its bound; `bound` undefined means that none is demanded. */
const figure = (name, value, unit, bound) => ({ name, value: Math.round(value * 100) / 100, unit, bound, holds: bound === undefined || value <= bound })

/** A fact that must be just so. */
const exact = (name, value, expected) => ({ name, value, unit: '', bound: expected, holds: value === expected })

/** Runs one scenario against a fresh server, with a fresh process of attackers. */
async function against (settings, run) {
  const [server, attacker] = [startWorker('server.mjs'), startWorker('attacker.mjs')]
  try {
    const port = await server.call('start', settings)
    return await run({ server, port, attack: (command, args) => attacker.call(command, { port, ...args }) })
  } finally {
    await Promise.all([attacker.stop(), server.stop()])
  }
}

/** How far memory rises while `run` runs, in MB: the highest point, garbage not yet collected among it. */
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
    figure('nobody attacks: ping of a client, p99', p99Ms, 'ms', undefined),
    figure('nobody attacks: ping of a client, longest', maxMs, 'ms', undefined)
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

const muteReaders = () => against({}, async ({ server, port, attack }) => {
  await server.call('feed', { perSecond: 500, bytes: 10_000 })
  const witness = await startWitness(port)
  const { growth, result } = await growthMb(server, () => attack('mute', { connections: 200, channel: 'mission_update', durationMs: 20_000 }))
  const { p99Ms, wasClosed } = await witness.end()
  return [
    figure('200 mute readers of 5 MB/s: growth of memory', growth, 'MB', 250),
    figure('200 mute readers of 5 MB/s: ping of another client, p99', p99Ms, 'ms', 100),
    figure('200 mute readers of 5 MB/s: times one was thrown out and came back', result.returns, '', undefined),
    exact('200 mute readers of 5 MB/s: the other client was closed', wasClosed, false)
  ]
})

// What all subscribers get is kept once; only answers are kept for each. So this is the worst that mute readers can do.
const muteAskers = () => against({}, async ({ server, port, attack }) => {
  await server.call('fillHealth', { components: 100 })
  const witness = await startWitness(port)
  const { growth, result } = await growthMb(server, () => attack('mute', { connections: 200, channel: 'health_delta', durationMs: 40_000, togglesPerSecond: 20 }))
  const { closed } = await server.call('counters')
  const { p99Ms } = await witness.end()
  return [
    figure('200 mute readers, each with a backlog of its own: growth of memory', growth, 'MB', 250),
    figure('200 mute readers, each with a backlog of its own: ping of another client, p99', p99Ms, 'ms', undefined),
    figure('200 mute readers, each with a backlog of its own: closed as slow consumers', closed.slow_consumer, '', undefined),
    figure('200 mute readers, each with a backlog of its own: times one was thrown out and came back', result.returns, '', undefined)
  ]
})

const unfinished = (title, settings, fragments, bytes, bound) => () => against(settings, async ({ server, attack }) => {
  await sleep(500)
  const { growth, result } = await growthMb(server, () => attack('unfinished', { connections: 40, fragments, bytes }))
  return [
    figure(`${title}: growth of memory`, growth, 'MB', bound),
    figure(`${title}: sent`, result.sentBytes / MB, 'MB', undefined),
    figure(`${title}: thrown out`, Object.entries(result.closes).reduce((sum, [code, count]) => code === 'none' ? sum : sum + count, 0), 'of 40', undefined)
  ]
})

const connects = () => against({ options: { websocket: { maxConnections: 1_000 } } }, async ({ server, attack }) => {
  const { statuses } = await attack('connects', { total: 10_000, atOnce: 200 })
  const { connectionsOpen, connectionsTotal } = await server.call('counters')
  return [
    exact('10,000 connects against a limit of 1,000: answers 101', statuses[101], 1_000),
    exact('10,000 connects against a limit of 1,000: answers 503', statuses[503], 9_000),
    exact('10,000 connects against a limit of 1,000: connections open', connectionsOpen, 1_000),
    exact('10,000 connects against a limit of 1,000: connections counted', connectionsTotal, 1_000)
  ]
})

const dripping = () => against({}, async ({ port, attack }) => {
  const done = attack('drip', { connections: 300, durationMs: 3_000 })
  await sleep(500)
  const took = []
  for (let at = 0; at < 20; at++) {
    took.push(await timeNewcomer(port))
    await sleep(50)
  }
  await done
  return [figure('300 dripping handshakes: a newcomer\'s first answer, slowest of 20', Math.max(...took), 'ms', 1_000)]
})

const NESTED = (levels) => text('['.repeat(levels) + ']'.repeat(levels))
const NAMES = (count) => text({ type: 'subscribe', channels: Array.from({ length: count }, () => 'xx') })
const PROPERTIES = text({ type: 'ping', ...Object.fromEntries(Array.from({ length: 3_500 }, (_, at) => [`property${at}`, at])) })

/** Bad messages by the limit that lets them in. Above the default one nothing is demanded: these show what a wider limit costs. */
const BAD_MESSAGES = {
  16_384: {
    'JSON of 8,000 levels': NESTED(8_000),
    '16 kB that are not UTF-8': frame(2, Buffer.alloc(16_000, 0xff)),
    'a message of 10 MB': frame(1, Buffer.alloc(10_000_000, 'x')),
    '10,000 fragments': Buffer.concat([frame(1, '', false), ...Array.from({ length: 9_999 }, () => frame(0, '', false))])
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

const badMessages = (maxPayloadBytes, boundMs) => () => against({ options: { websocket: { maxPayloadBytes } } }, async ({ server, attack }) => {
  const figures = []
  for (const [title, message] of Object.entries(BAD_MESSAGES[maxPayloadBytes])) {
    await server.call('resetPeak')
    let lagMs = 0
    let answerBytes = 0
    for (let round = 0; round < 5; round++) {
      await server.call('resetLag')
      const { bytesIn } = await attack('single', { bytes: message.toString('base64') })
      lagMs = Math.max(lagMs, await server.call('lagMs'))
      answerBytes = Math.max(answerBytes, bytesIn)
    }
    figures.push(figure(`${title}: longest stop of the event loop`, lagMs, 'ms', boundMs), figure(`${title}: answer`, answerBytes, 'B', 8_192))
  }
  return figures
})

const ratios = () => against({}, async ({ attack }) => {
  const messages = {
    '64 unknown names of one letter': [text({ type: 'subscribe', channels: Array(64).fill('x') }), 10],
    '64 empty names': [text({ type: 'unsubscribe', channels: Array(64).fill('') }), 10],
    'one unknown name': [text({ type: 'subscribe', channels: ['x'] }), 10],
    '65 names': [text({ type: 'subscribe', channels: Array(65).fill('') }), 10],
    'a subscribe to all channels, snapshots among the answers': [text({ type: 'subscribe', channels: ['metrics_tick', 'health_delta', 'mission_stats', 'mission_update', 'anomaly_alert'] }), undefined],
    'a ping': [text({ type: 'ping' }), undefined],
    'a whoami': [text({ type: 'whoami' }), undefined],
    'one letter that is no JSON': [text('x'), undefined]
  }
  const figures = []
  for (const [title, [message, bound]] of Object.entries(messages)) {
    const { bytesOut, bytesIn } = await attack('single', { bytes: message.toString('base64') })
    figures.push(figure(`${title}: ${bytesIn} B for ${bytesOut} B`, bytesIn / bytesOut, 'x', bound))
  }
  return figures
})

const closing = (title, isBesideHost) => () => against({ isBesideHost }, async ({ server, attack }) => {
  await attack('freeze', { connections: 200, channel: 'mission_update' })
  await server.call('feed', { perSecond: 500, bytes: 10_000 })
  await sleep(1_000)
  return [figure(`close with 200 clients frozen in a backlog, ${title}`, await server.call('close'), 'ms', 5_000)]
})

/** Every scenario by its title, in the order of the report. */
export const SCENARIOS = {
  'nobody attacks': baseline,
  'flood of pings': floods('pings', 50),
  'flood of bad frames': floods('bad frames', 50),
  'flood of ping frames': floods('ping frames', 60),
  'flood of pong frames': floods('pong frames', 60),
  'mute readers': muteReaders,
  'mute readers with backlogs of their own': muteAskers,
  'unfinished messages': unfinished('40 unfinished messages of 256 fragments', {}, 256, 60, 10),
  'unfinished messages over the limit': unfinished('40 unfinished messages of 16,000 fragments', {}, 16_000, 1, 10),
  'unfinished messages beside a host\'s server': unfinished('40 unfinished messages of 16,000 fragments, the host\'s WebSocket server', { isBesideHost: true }, 16_000, 1, 10),
  'many connects': connects,
  'dripping handshakes': dripping,
  'bad messages': badMessages(16_384, 50),
  'bad messages of 60 kB': badMessages(65_536, 50),
  'bad messages of 1 MB': badMessages(1_000_000, undefined),
  'size of answers': ratios,
  'close with frozen clients': closing('own WebSocket server', false),
  'close with frozen clients beside a host\'s server': closing('the host\'s WebSocket server', true)
}
