import { execFile } from 'node:child_process'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import { queryObjects } from 'node:v8'
import { constants, inflateRawSync } from 'node:zlib'
import Fastify from 'fastify'
import { chromium } from 'playwright-core'
import t from 'tap'
import { WebSocket } from 'ws'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { Batch } from '../lib/hub/delivery/batch.js'
import { Connection } from '../lib/hub/connections/connection.js'
import { Histogram } from '../lib/base/histogram.js'
import { EventLoopDelay } from '../lib/hub/connections/event-loop-delay.js'
import { Message, MessageBody } from '../lib/hub/wire/message.js'
import { Liveness } from '../lib/hub/connections/liveness.js'
import { WriteQueue } from '../lib/hub/delivery/write-queue.js'
import missionControl from '../lib/index.js'
import { WebSocketFrameWriter } from '../lib/routes/websocket/frame-writer.js'
import { encodingOf } from '../lib/routes/websocket/compression.js'
import { boot, closingSoon } from './support/app.js'
import { connect, tryUpgrade } from './support/client.js'
import { openFrameServer } from './support/frame-server.js'
import { exchange, OPCODE, RawClient, upgradeRequest } from './support/raw-client.js'
import { findChromium, onlyWith, pathOf } from './support/skip.js'

const nextTick = () => new Promise((resolve) => setImmediate(resolve))
const run = promisify(execFile)

/** Texts around every size at which the frame header changes, with characters of one to four bytes across that border. */
const TEXTS = [0, 125, 126, 127, 1_000, 1_021, 1_024, 65_535, 65_536, 65_537, 1_048_576].flatMap((bytes) => {
  const texts = ['a'.repeat(bytes)]
  for (const character of ['ü', '€', '😀']) {
    for (let shift = 0; shift < 4; shift++) if (bytes > 8) texts.push('a'.repeat(shift) + character.repeat(Math.ceil((bytes - shift) / Buffer.byteLength(character))))
  }
  return bytes > 100_000 ? texts.slice(0, 4) : texts
})

/** Receives texts and reports a digest of each: its length and a hash of all characters. Runs in every client. */
const LISTEN = `(url) => new Promise((resolve) => {
  const digests = []
  const digest = (text) => { let sum = 7; for (let i = 0; i < text.length; i++) sum = (sum * 31 + text.charCodeAt(i)) | 0; return text.length + ':' + sum }
  const socket = new WebSocket(url)
  socket.onopen = () => socket.send('go')
  socket.onmessage = ({ data }) => { data === 'end' ? resolve({ digests, extensions: socket.extensions }) : digests.push(digest(data)) }
  socket.onerror = socket.onclose = (event) => resolve({ digests, failed: String(event.message ?? event.reason ?? event.type) })
})`

const digest = (text: string): string => {
  let sum = 7
  for (let i = 0; i < text.length; i++) sum = (sum * 31 + text.charCodeAt(i)) | 0
  return `${text.length}:${sum}`
}

const chromiumProgram = process.env['CHROMIUM_PATH'] === undefined ? findChromium() : { path: process.env['CHROMIUM_PATH'] }

/** Clients of three kinds; each returns what `LISTEN` reports. */
const LISTENERS: Record<string, { needs?: ReturnType<typeof findChromium>, listen: (url: string, origin: string) => Promise<any> }> = {
  ws: { listen: async (url) => await (new Function('WebSocket', `return ${LISTEN}`)(WebSocket))(url) }, // eslint-disable-line no-new-func -- the same source runs in all clients
  'the client of Node.js': {
    async listen (url) {
      const code = `(${LISTEN})(${JSON.stringify(url)}).then((report) => { console.log(JSON.stringify(report)); process.exit() })`
      return JSON.parse((await run(process.execPath, ['--experimental-websocket', '--no-warnings', '-e', code], { maxBuffer: 1_000_000, env: {} })).stdout)
    }
  },
  Chromium: {
    needs: chromiumProgram,
    async listen (url, origin) {
      const browser = await chromium.launch({ executablePath: pathOf(chromiumProgram), args: ['--no-sandbox'] })
      try {
        const page = await browser.newPage()
        await page.goto(origin)
        return await page.evaluate(`(${LISTEN})(${JSON.stringify(url)})`)
      } finally {
        await browser.close()
      }
    }
  }
}

for (const [name, { needs, listen }] of Object.entries(LISTENERS)) {
  t.test(`frames of every size, with characters of every length, reach ${name} unchanged, plain and compressed`, needs === undefined ? {} : onlyWith(needs), async (t) => {
    for (const compression of [false, true]) {
      const encodings: unknown[] = []
      const { url, origin } = await openFrameServer(t, { perMessageDeflate: compression && { serverNoContextTakeover: true, clientNoContextTakeover: true } }, ({ websocket, stream, encoding }) => {
        encodings.push(encoding)
        websocket.once('message', () => {
          for (const text of [...TEXTS, 'end']) stream.write(new Message(text).encoded(encoding))
        })
      })
      const report = await listen(url, origin)
      t.same(report.digests, TEXTS.map(digest), report.failed)
      // The client of Node.js 20 offers no compression.
      if (!compression) t.same(encodings, ['plain'])
      else if (name !== 'the client of Node.js') t.same(encodings, [15])
    }
  })
}

t.test('frames respect every negotiated window size, and are plain where none can be used', async (t) => {
  for (const bits of [9, 10, 11, 12, 13, 14, 15]) {
    const { url } = await openFrameServer(t, { perMessageDeflate: { serverNoContextTakeover: true, serverMaxWindowBits: bits } }, ({ stream, encoding }) => {
      t.equal(encoding, bits)
      for (const text of [...TEXTS.slice(0, 40), 'end']) stream.write(new Message(text).encoded(encoding))
    })
    const socket = new WebSocket(url)
    const digests: string[] = []
    await new Promise<void>((resolve) => socket.on('message', (data) => { String(data) === 'end' ? resolve() : digests.push(digest(String(data))) }))
    t.same(digests, TEXTS.slice(0, 40).map(digest))
    socket.terminate()
  }
  t.equal(encodingOf('permessage-deflate'), 'plain', 'the window may contain an earlier message')
  t.equal(encodingOf('permessage-deflate; server_no_context_takeover; server_max_window_bits=8'), 'plain', 'zlib does not support 8 bits')
  t.equal(encodingOf('permessage-deflate; server_no_context_takeover; server_max_window_bits=nine'), 'plain')
  t.equal(encodingOf('x-webkit-deflate-frame; server_no_context_takeover'), 'plain')
  t.equal(encodingOf('permessage-deflate; client_max_window_bits; server_no_context_takeover'), 15)
})

t.test('a message is compressed once per window size, and only if it is large enough', async (t) => {
  const message = new Message('x'.repeat(2_000))
  t.equal(message.encoded(15), message.encoded(15))
  t.not(message.encoded(15), message.encoded(10))
  t.ok(message.encoded(15).length < 100)
  const small = new Message('x'.repeat(1_000))
  t.equal(small.encoded(15), small.frame)
})

t.test('the body of messages with the same content is compressed once per window size', async (t) => {
  const body = new MessageBody(`"payload":"${'größer '.repeat(500)}"}`, { type: 'mission_update', channel: 'mission_update' })
  t.equal(body.deflated(15), body.deflated(15))
  t.not(body.deflated(15), body.deflated(10))
  for (const [start, windowBits] of [['{"id":1,', 15], ['{"id":"größer",', 10]] as const) {
    const message = new Message(start, {}, body)
    t.equal(message.text.toString(), start + body.text.toString())
    const frame = message.encoded(windowBits)
    t.equal(message.encoded(windowBits), frame)
    t.ok(frame.length < 200)
    t.ok(frame.subarray(-body.deflated(windowBits).length).equals(body.deflated(windowBits)))
    const stream = Buffer.concat([frame.subarray(frame[1]! < 126 ? 2 : 4), Buffer.from([0, 0, 0xff, 0xff])])
    t.equal(inflateRawSync(stream, { finishFlush: constants.Z_SYNC_FLUSH }).toString(), message.text.toString())
  }
})

t.test('frames of the plugin never mix with messages the host sends through the same WebSocket: 100,000 frames between pings, large sends and fragments', { timeout: 60_000 }, async (t) => {
  for (const perMessageDeflate of [false, { threshold: 100, serverNoContextTakeover: true }]) {
    const FRAMES = 50_000
    const { url } = await openFrameServer(t, { perMessageDeflate }, async ({ websocket, stream, encoding }) => {
      let drained = () => {}
      const writer = new WebSocketFrameWriter(websocket, stream, encoding, () => drained())
      const large = 'host '.repeat(10_000)
      for (let at = 0; at < FRAMES;) {
        let batch = new Batch()
        for (let i = 0; i < 50; i++, at++) batch = batch.add(new Message(`ours ${at} ${'x'.repeat(at % 7 === 0 ? 1_500 : 10)}`))
        const writes = new WriteQueue()
        // What the writer refuses is tried again once the socket is drained.
        while (writer.write(batch, writes) < 0) await new Promise<void>((resolve) => { drained = resolve; setTimeout(resolve, 5) })
        writes.flush()
        if (at % 1_000 === 0) writer.ping()
        if (at % 500 === 0) websocket.send(large)
        if (at % 700 === 0) {
          websocket.send('part one ', { fin: false })
          if (writer.bufferedBytes !== Infinity) throw new Error('accepts messages between two fragments')
          if (writer.write(batch, new WriteQueue()) !== -1) throw new Error('written between two fragments')
          websocket.send('part two', { fin: true })
        }
        if (at % 5_000 === 0) await nextTick()
      }
      websocket.send('end')
    })
    const socket = new WebSocket(url, { maxPayload: 1_000_000 })
    let next = 0
    let hosts = 0
    let parts = 0
    let pings = 0
    socket.on('ping', () => pings++)
    const failure = await new Promise<string | undefined>((resolve) => {
      socket.on('error', (err) => resolve(err.message))
      socket.on('close', () => resolve('closed'))
      socket.on('message', (data) => {
        const text = String(data)
        if (text === 'end') resolve(undefined)
        else if (text.startsWith('ours ')) { if (Number(text.split(' ')[1]) !== next++) resolve(`${text.slice(0, 20)} instead of ${next - 1}`) } else if (text.startsWith('host ')) hosts++
        else if (text === 'part one part two') parts++
        else resolve(`garbage: ${text.slice(0, 40)}`)
      })
    })
    t.equal(failure, undefined)
    t.same([next, hosts, pings], [FRAMES, FRAMES / 500, FRAMES / 1_000])
    t.ok(parts > 0)
    socket.terminate()
  }
})

t.test('the messages of a tick cost one write per connection, and connections that receive the same messages share one buffer', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const sockets: Socket[] = []
  app.server.on('connection', (socket) => sockets.push(socket))
  await app.register(missionControl, closingSoon({}))
  const both = ['mission_update', 'health_delta']
  const [a, b, c, d, e, f] = [await connect(app), await connect(app), await connect(app), await connect(app), await connect(app), await connect(app)]
  await a!.subscribe(...both)
  await b!.subscribe(...both)
  await c!.subscribe('mission_update')
  await d!.subscribe('mission_update')
  for (const [client, names] of [[e!, ['job 1', 'job 2']], [f!, ['job 2', 'job 1']]] as const) {
    client.send({ type: 'subscribe', channels: ['mission_update'], filter: { names } })
    await client.next('subscription_ack')
  }
  for (const client of [a!, b!, c!, d!, e!, f!]) await client.settle()
  const written: Buffer[][] = sockets.map((socket) => {
    const buffers: Buffer[] = []
    const { write } = socket
    socket.write = ((bytes: Buffer, ...rest: never[]) => { buffers.push(bytes); return write.call(socket, bytes, ...rest) }) as never
    return buffers
  })
  app.monitoring.reportHealth('degraded')
  for (let at = 0; at < 20; at++) app.missions.start(`job ${at}`)
  await nextTick()
  await nextTick()
  t.same(written.map((buffers) => buffers.length), [1, 1, 1, 1, 1, 1])
  t.equal(written[0]![0], written[1]![0], 'the same buffer')
  t.equal(written[2]![0], written[3]![0], 'the same buffer for fewer subscriptions')
  t.ok(written[2]![0]!.length < written[0]![0]!.length)
  t.equal(written[4]![0], written[5]![0], 'the same buffer for equal filters')
  t.equal((await e!.settle()).length, 2)
  t.equal((await a!.settle()).filter(({ type }) => type === 'mission_update').length, 20)
})

t.test('a reply keeps its order among the messages around it', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  await client.subscribe('mission_update')
  app.missions.handle({ start: { start: () => app.missions.start('asked') } })
  client.send({ type: 'mission_start', command: 'go' })
  await client.next('mission_update')
  t.same(client.received.slice(-2).map(({ type }) => type), ['mission_ack', 'mission_update'])
})

t.test('connections cost no timers', async (t) => {
  const app = await boot(t)
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const first = await connect(app)
  const before = timers()
  const clients = await Promise.all(Array.from({ length: 200 }, async () => await (await connect(app)).subscribe('mission_update', 'mission_stats')))
  t.ok(timers() - before <= 3, `${timers() - before} more timers`)
  for (const client of [first, ...clients]) client.socket.terminate()
})

t.test('clients that are killed, reset, half-open or frozen leave nothing behind', async (t) => {
  const app = await boot(t)
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
  const before = sockets()
  const ends: Record<string, (client: RawClient) => void> = {
    killed: (client) => client.socket.destroy(),
    reset: (client) => client.socket.resetAndDestroy(),
    'half open': (client) => client.socket.end(),
    frozen: (client) => client.freeze().socket.destroy()
  }
  for (const end of Object.values(ends)) {
    const clients = await Promise.all(Array.from({ length: 20 }, async () => await RawClient.connect(app)))
    for (const client of clients) client.send({ type: 'subscribe', channels: ['mission_update', 'mission_stats'] })
    for (const client of clients) await client.next('subscription_ack')
    for (let at = 0; at < 50; at++) app.missions.start('job')
    clients.forEach(end)
    while (app.missionControl.wsMetrics().connectionsOpen > 1) await nextTick()
    for (const client of clients) client.socket.destroy()
  }
  while (sockets() > before) await nextTick()
  t.equal(queryObjects(Connection, { format: 'count' }), 1, 'no connection stays in memory')
  t.equal(app.missionControl.wsMetrics().channels.find(({ channel }) => channel === 'mission_update')!.count, 1)
  t.equal(app.missionControl.wsMetrics().channels.find(({ channel }) => channel === 'mission_stats')!.count, 0)
  t.equal((await healthy.settle()).filter(({ type }) => type === 'mission_update').length, 200)
})

t.test('a broadcast reaches clients with and without compression', async (t) => {
  const app = await boot(t, { websocket: { compression: true } })
  const [deflating, plain] = [await connect(app), await connect(app, { perMessageDeflate: false })]
  t.match(deflating!.socket.extensions, 'permessage-deflate')
  t.equal(plain!.socket.extensions, '')
  for (const client of [deflating!, plain!]) await client.subscribe('mission_update')
  const plan = { steps: Array.from({ length: 200 }, (_, at) => `step ${at} of the plan: größer €uro 😀`) }
  app.missions.report('job', 'planned', { planningSession: plan })
  for (const client of [deflating!, plain!]) t.same((await client.next('mission_update', ({ payload }) => payload.status === 'planned')).payload.planningSession, plan)
  // Compressed messages of the client are read too.
  deflating!.send({ type: 'ping', id: 'x'.repeat(128) })
  t.equal((await deflating!.next('pong')).replyTo, 'x'.repeat(128))
})

t.test('drain', async (t) => {
  t.test('refuses new connections, sends each client its own time to reconnect, and closes all in waves', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock })
    const clients = await Promise.all(Array.from({ length: 250 }, async () => await connect(app)))
    await clients[0]!.subscribe('mission_update')
    const open = () => app.missionControl.wsMetrics().connectionsOpen
    while (open() < 250) await nextTick()
    app.missions.start('last')
    const drained = app.missionControl.drain({ withinMs: 6_000 })
    t.equal(await tryUpgrade(app), 503)
    t.match(await exchange(app, upgradeRequest()), /retry-after: 1\r\n/i)
    const times = await Promise.all(clients.map(async (client) => (await client.next('server_draining')).payload.retryAfterMs))
    t.equal(new Set(times).size, 250)
    t.ok(Math.min(...times) >= 6_000 && Math.max(...times) <= 12_000)
    t.same(clients[0]!.received.map(({ type }) => type), ['subscription_ack', 'mission_update', 'server_draining'])
    while (open() > 166) await nextTick()
    t.equal(open(), 166, 'the first wave of three')
    clock.advance(2_000)
    while (open() > 82) await nextTick()
    clock.advance(2_000)
    await drained
    t.equal(open(), 0)
    for (const client of clients) t.same(await client.closed, { code: 1012, reason: 'server_restart' })
  })

  t.test('terminates clients that do not answer, and ends at once when the app closes', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock })
    const clients = await Promise.all(Array.from({ length: 150 }, async () => await connect(app)))
    const mute = (await RawClient.connect(app, { isMute: true })).freeze()
    const drained = app.missionControl.drain({ withinMs: 3_600_000 })
    const closed = app.close()
    for (const client of clients) t.equal((await client.closed).code, 1012)
    clock.advance(2_000)
    await Promise.all([drained, closed])
    mute.socket.destroy()
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 0)
  })

  t.test('takes ten seconds by default, and rejects an invalid time', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock })
    for (const withinMs of [-1, 0.5, NaN, '5', 3_600_001]) await t.rejects(app.missionControl.drain({ withinMs: withinMs as never }), { code: 'FST_MC_INVALID_OPTION' })
    const client = await connect(app)
    const drained = app.missionControl.drain()
    t.equal((await client.next('server_draining')).payload.retryAfterMs, 10_000)
    await drained
    await app.missionControl.drain()
  })
})

t.test('upgrades beyond the allowed rate are refused with a Retry-After header, and admitted again later', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, websocket: { maxConnectionsPerSecond: 2 } })
  const statuses: number[] = []
  for (let at = 0; at < 6; at++) statuses.push(await tryUpgrade(app))
  t.same(statuses, [101, 101, 101, 101, 503, 503])
  clock.advance(1_000)
  t.equal(await tryUpgrade(app), 101)
  t.match((await app.missionControl.metrics.render()).body, /ws_refused_total\{reason="rate"\} 2/)
})

t.test('no connection is admitted while the event loop is overloaded', async (t) => {
  const app = await boot(t)
  await connect(app)
  while (true) {
    const until = performance.now() + 1_300
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 150))
    if (await tryUpgrade(app) === 503) break
  }
  t.match((await app.missionControl.metrics.render()).body, /ws_refused_total\{reason="overload"\} [1-9]/)
  while (await tryUpgrade(app) !== 101) await new Promise((resolve) => setTimeout(resolve, 100))
  const delay = new EventLoopDelay()
  t.equal(delay.ms, 0)
  delay.close()
})

t.test('pings', async (t) => {
  t.test('come at their interval; a peer that does not answer in time is terminated, one that sends anything is not', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock })
    const mute = await RawClient.connect(app, { isMute: true })
    const talking = await RawClient.connect(app, { isMute: true })
    const live = await connect(app)
    clock.advance(24_000)
    await live.settle()
    t.notOk(mute.received.some(({ opcode }) => opcode === OPCODE.ping))
    clock.advance(1_000)
    await mute.nextFrame(OPCODE.ping)
    await live.settle()
    for (let second = 0; second < 12; second++) {
      clock.advance(1_000)
      talking.send({ type: 'ping' })
      await talking.next('pong')
      await live.settle()
    }
    t.equal((await mute.ended).code, undefined)
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 2)
    t.match((await app.missionControl.metrics.render()).body, /ping_round_trip_seconds_count 1\n/)
    talking.socket.destroy()
  })

  t.test('that could not be answered because the service itself was stalled close no connection', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock })
    const live = await connect(app)
    clock.advance(3_600_000)
    t.same(await live.settle(), live.received.filter(({ type }) => type === 'heartbeat'))
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 1)
  })

  t.test('measure the round trip of the last one only', async (t) => {
    const liveness = new Liveness(12, 0)
    t.equal(liveness.takePong(1), undefined, 'no ping was sent')
    t.equal(liveness.check(9, 1), undefined)
    t.equal(liveness.check(10, 1), 'ping')
    t.equal(liveness.check(50, 2), undefined)
    liveness.markAlive()
    t.equal(liveness.check(60, 3), 'ping')
    t.same(liveness.takePong(61), NaN, 'the answer to the ping before')
    t.same(liveness.takePong(62), NaN, 'a second answer after the peer was already alive')
    t.equal(liveness.check(100, 4), 'ping')
    t.equal(liveness.takePong(107), 7)
    t.equal(liveness.check(120, 5), 'ping')
    t.equal(liveness.check(10_119, 7), undefined)
    t.equal(liveness.check(10_120, 6), undefined, 'too few ticks')
    t.equal(liveness.check(10_120, 7), 'dead')
    liveness.pause(10_200)
    t.equal(liveness.check(10_205, 9), undefined)
  })
})

t.test('a histogram counts durations above its last bound too', async (t) => {
  const histogram = new Histogram([1, 10])
  for (const ms of [0, 1, 5, 10, 10.5]) histogram.record(ms)
  t.same(histogram.read(), { boundsMs: [1, 10], buckets: [2, 2, 1], sumMs: 26.5, examples: [] })
})

t.test('without access to the socket, messages are sent through the WebSocket library', async (t) => {
  const sent: string[] = []
  const websocket = { readyState: 1, OPEN: 1, bufferedAmount: 0, send: (text: Buffer, _options: object, done: () => void) => { sent.push(String(text)); done() }, ping () {}, close () {}, terminate () {} }
  let drains = 0
  const writer = new WebSocketFrameWriter(websocket as never, undefined, 'plain', () => { drains++ })
  const batch = new Batch().add(new Message('a')).add(new Message('b'))
  t.equal(writer.write(batch, new WriteQueue()), batch.bytes)
  t.same([sent, drains], [['a', 'b'], 2])
  websocket.bufferedAmount = 65_536
  t.equal(writer.write(batch, new WriteQueue()), -1)
  t.equal(writer.bufferedBytes, 65_536)
  t.equal(sent.length, 2)
})

t.test('after the library has sent its close frame, nothing is written beside it', async (t) => {
  const sent: string[] = []
  const stream = { writableLength: 0, on () {}, cork () {}, uncork () {}, write: () => t.fail('written beside the library') }
  const websocket = { readyState: 2, OPEN: 1, bufferedAmount: 0, send: (text: Buffer) => { sent.push(String(text)) }, ping () {}, close () {}, terminate () {} }
  const writer = new WebSocketFrameWriter(websocket as never, stream as never, 'plain', () => {})
  const messages = [new Message('a'), new Message('b')]
  t.equal(writer.writeAll(messages), 6)
  t.equal(writer.write(new Batch().add(messages[0]!), new WriteQueue()), 3)
  t.same(sent, ['a', 'b', 'a'])
})
