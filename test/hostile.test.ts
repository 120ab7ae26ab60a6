import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import websocket from '@fastify/websocket'
import fc from 'fast-check'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { createVirtualClock, type Clock } from '../lib/clock.js'
import { RateLimit } from '../lib/hub/rate-limit.js'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { CHANNEL_NAMES } from '../schemas/index.js'
import { boot, uncaught } from './support/app.js'
import { connect, tryUpgrade } from './support/client.js'
import { parseExposition, valueOf } from './support/exposition-parser.js'
import { closeFrame, exchange, fragments, frame, OPCODE, openTcp, RawClient, upgradeRequest, type RawOptions } from './support/raw-client.js'

const nextTurn = () => new Promise<void>((resolve) => { setImmediate(resolve) })

/** A service whose host has a WebSocket server of its own, with that server's wide limits. */
async function bootBesideHost (t: Test, options: MissionControlOptions = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  await app.register(missionControl, options)
  return app
}

const metric = async (app: FastifyInstance, name: string, labels?: Record<string, string>): Promise<number> =>
  valueOf(parseExposition((await app.missionControl.metrics.render()).body, 'text'), `mission_control_ws_${name}`, labels)

/** Many upgrades at once; what became of each. */
async function connectMany (app: FastifyInstance, count: number, options: RawOptions = {}): Promise<RawClient[]> {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
  return await Promise.all(Array.from({ length: count }, () => RawClient.connect(app, options)))
}

const statusesOf = (clients: readonly RawClient[]): Record<number, number> => {
  const counts: Record<number, number> = {}
  for (const { status } of clients) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

t.test('no spelling of the path leads past a hook that refuses', async (t) => {
  const spellings = [
    '/ws/mission-control', '//ws/mission-control', '/ws//mission-control', '/ws/mission-control/', '/ws/./mission-control', '/ws/x/../mission-control',
    '/ws/%2e/mission-control', '/ws/%6dission-control', '/ws%2fmission-control', '/WS/Mission-Control', '/ws/mission-control;x=1', '/ws/mission-control?token=1',
    '/ws/mission-control#x', '/ws/mission-control%00', '/ws/mission-control%20', '/ws/mission-control%3f', '\\ws\\mission-control', 'http://localhost/ws/mission-control',
    '*', '/ws/mission-control/%2e%2e/mission-control', '/health', '/mission-control/ws-metrics', '/api/v1/metrics/prometheus'
  ]
  const lenient: FastifyServerOptions = { routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, useSemicolonDelimiter: true } as NonNullable<FastifyServerOptions['routerOptions']> }
  for (const [server, settings] of Object.entries({ strict: {}, lenient })) {
    const app = await boot(t, { onRequest: async (_request, reply) => await reply.code(401).send() }, settings)
    const beside = Fastify(settings)
    t.teardown(() => beside.close())
    await beside.register(websocket)
    await beside.register(missionControl, { onRequest: async (_request, reply) => await reply.code(401).send() })
    for (const [title, one] of [[`a ${server} router`, app], [`a ${server} router and the host's WebSocket server`, beside]] as const) {
      for (const path of spellings) {
        const answer = await exchange(one, upgradeRequest({ path, headers: [] }))
        t.match(answer, /^HTTP\/1\.1 4\d\d /, `${path} with ${title}`)
        t.notMatch(answer, /101/)
      }
      t.equal(one.missionControl.wsMetrics().connectionsTotal, 0)
    }
  }
})

t.test('upgrades with a broken handshake get no connection and hold none', async (t) => {
  for (const make of [boot, bootBesideHost]) {
    const app = await make(t)
    const good = upgradeRequest()
    const broken = [
      good.replace('GET', 'POST'), good.replace('GET', 'HEAD'), good.replace('GET', 'OPTIONS'), good.replace('Version: 13', 'Version: 12'),
      good.replace(/Sec-WebSocket-Key: .*\r\n/, ''), good.replace(/Key: .*/, 'Key: short'), good.replace('Upgrade: websocket', 'Upgrade: h2c'),
      good.replace('Upgrade: websocket', 'Upgrade: websocket, h2c')
    ]
    for (const request of broken) t.notMatch(await exchange(app, request), /^HTTP\/1\.[01] 101/, JSON.stringify(request))
    t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
    t.equal((await RawClient.connect(app, { headers: ['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'] })).head.includes('Extensions'), false, 'nothing is compressed')
  }
})

t.test('a hook in front of the upgrade', async (t) => {
  t.test('lets nobody in when it throws, rejects, fails by callback or answers by itself', async (t) => {
    const hooks: Record<string, [MissionControlOptions['onRequest'], RegExp]> = {
      throws: [() => { throw new Error('canary') }, / 500 /],
      rejects: [async () => { throw Object.assign(new Error('no'), { statusCode: 403 }) }, / 403 /],
      'rejects with nothing': [async () => { throw undefined as unknown as Error }, / 500 /],
      'fails by callback': [(_request, _reply, done) => done(Object.assign(new Error('no'), { statusCode: 401 })), / 401 /],
      answers: [(_request, reply) => { reply.code(401).send({ error: 'no' }) }, / 401 /],
      'answers in a promise': [async (_request, reply) => await reply.code(401).send({ error: 'no' }), / 401 /],
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
      t.equal(await metric(app, 'messages_received_total'), 0, `${title}: what was sent early is never read`)
    }
  })

  t.test('holds up nobody else while it hangs; what is sent meanwhile waits for it, and none of it is lost', async (t) => {
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
    t.same((await other.settle()).length, 0, 'others are served')
    t.equal(app.missionControl.wsMetrics().connectionsTotal, 1)
    t.equal(await metric(app, 'messages_received_total'), 1, 'nothing is read before the hook has ended')
    t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 0)

    release()
    const clients = await Promise.all(slow.map((socket) => RawClient.over(socket)))
    t.same(statusesOf(clients), { 101: 200 })
    for (const client of clients) t.equal((await client.next('subscription_ack'))['replyTo'], 'early 0')
    for (let at = 1; at <= 20; at++) t.equal((await clients[0]!.next('pong'))['replyTo'], `early ${at}`, 'in the order in which they were sent')
    t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 200)
  })

  t.test('that never ends does not hold up the end of the service', { timeout: 20_000 }, async (t) => {
    for (const make of [boot, bootBesideHost]) {
      let asked = () => {}
      const isAsked = new Promise<void>((resolve) => { asked = resolve })
      const app = await make(t, {
        onRequest: async (request) => {
          if (request.headers['x-slow'] === undefined) return
          asked()
          await new Promise(() => {})
        }
      })
      const live = await connect(app)
      const hanging = await openTcp(app)
      hanging.write(upgradeRequest({ headers: ['X-Slow: 1'] }))
      await isAsked
      await app.close()
      t.same(await live.closed, { code: 1001, reason: 'server_closing' })
      hanging.destroy()
    }
  })
})

t.test('the limit on connections holds', async (t) => {
  t.test('exactly, when 1,000 connect at once; the others get 503, and a slot that is left is free again', async (t) => {
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

  t.test('exactly, when the hooks of all of them end in the same moment', async (t) => {
    for (const make of [boot, bootBesideHost]) {
      let waiting = 0
      let release = () => {}
      const gate = new Promise<void>((resolve) => { release = resolve })
      const app = await make(t, {
        websocket: { maxConnections: 3 },
        onRequest: async () => {
          if (++waiting === 50) release()
          await gate
        }
      })
      t.same(statusesOf(await connectMany(app, 50)), { 101: 3, 503: 47 })
      t.match(app.missionControl.wsMetrics(), { connectionsOpen: 3, connectionsTotal: 3 })
    }
  })

  t.test('for each address, as the host sees addresses', async (t) => {
    const app = await boot(t, { websocket: { maxConnectionsPerAddress: 5 } }, { trustProxy: '127.0.0.1' })
    const from = (address: string) => ({ headers: [`X-Forwarded-For: ${address}`] })
    const first = await connectMany(app, 20, from('192.0.2.1'))
    t.same(statusesOf(first), { 101: 5, 429: 15 })
    t.same(statusesOf(await connectMany(app, 5, from('192.0.2.2'))), { 101: 5 }, 'another address has a limit of its own')
    t.equal(await metric(app, 'refused_total', { reason: 'address' }), 15)
    first.find(({ status }) => status === 101)!.socket.destroy()
    while (app.missionControl.wsMetrics().connectionsOpen === 10) await nextTurn()
    t.same(statusesOf(await connectMany(app, 5, from('192.0.2.1'))), { 101: 1, 429: 4 }, 'a slot that is left is free again')

    const direct = await boot(t, { websocket: { maxConnectionsPerAddress: 5 } })
    const forged = [...await connectMany(direct, 4, from('192.0.2.1')), ...await connectMany(direct, 4, from('192.0.2.2'))]
    t.same(statusesOf(forged), { 101: 5, 429: 3 }, 'without a trusted proxy a forged address counts for nothing')
  })

  t.test('and refused or broken clients take no slot', async (t) => {
    const app = await boot(t, { websocket: { maxConnections: 2 } })
    for (let round = 0; round < 5; round++) {
      await exchange(app, upgradeRequest({ headers: ['Origin: http://evil.example'] }))
      await exchange(app, upgradeRequest().replace('Version: 13', 'Version: 1'))
    }
    t.same(statusesOf(await connectMany(app, 3)), { 101: 2, 503: 1 })
  })
})

t.test('handshakes that drip in disturb nobody, and end with 408', async (t) => {
  const app = await boot(t, {}, { http: { headersTimeout: 300, connectionsCheckingInterval: 50 } } as FastifyServerOptions)
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
  const dripping = await Promise.all(Array.from({ length: 300 }, async () => {
    const socket = await openTcp(app)
    socket.write(upgradeRequest().slice(0, 60))
    return socket
  }))
  const client = await connect(app)
  await client.subscribe('mission_update')
  app.missions.start('job')
  t.equal((await client.next('mission_update')).payload.name, 'job')
  t.equal(app.missionControl.wsMetrics().connectionsTotal, 1)
  for (const socket of dripping) {
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    if (!answer.startsWith('HTTP/1.1 408 ')) t.fail(`answered ${answer}`)
  }
  t.same(await client.settle(), [])
})

t.test('a peer that is gone', async (t) => {
  t.test('without a word is noticed at the second heartbeat, and one that only sends is none', async (t) => {
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
    clock.advance(30_000)
    t.same(await mute.ended, { code: undefined, reason: '' })
    await talking.send({ type: 'ping' }).next('pong')
    await polite.settle()
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 2)
    t.equal(app.missionControl.wsMetrics().channels.find(({ channel }) => channel === 'mission_update')!.count, 0)
    talking.socket.destroy()
  })

  t.test('by the end of its half of the connection or by a reset frees its slot at once', async (t) => {
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

  t.test('but keeps the connection after our goodbye is cut off soon', { timeout: 20_000 }, async (t) => {
    for (const make of [boot, bootBesideHost]) {
      const clock = createVirtualClock()
      const app = await make(t, { clock })
      const witness = await connect(app)
      const flooding = await RawClient.connect(app, { isMute: true })
      flooding.write(...Array.from({ length: 101 }, () => frame(OPCODE.text, '{"type":"ping"}')))
      t.equal((await flooding.nextFrame(OPCODE.close)).readUInt16BE(), 1008)
      const broken = await RawClient.connect(app, { isMute: true })
      broken.write(frame(OPCODE.text, '{}', { isMasked: false }))
      t.equal((await broken.nextFrame(OPCODE.close)).readUInt16BE(), 1002)
      const sent = app.missionControl.wsMetrics().messagesSentTotal
      for (const client of [flooding, broken]) client.send({ type: 'ping' })
      await witness.settle()
      t.equal(app.missionControl.wsMetrics().messagesSentTotal, sent + 1, 'nothing is answered any more')
      t.ok(app.missionControl.wsMetrics().connectionsOpen > 1, 'they have a moment to go by themselves')
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

/** Bytes of a client, with the code and the counted reason of the close that they lead to. */
const abuses: Array<[string, Buffer[], { code: number, reason: string }]> = [
  ['a message of 10 MB', [text(Buffer.alloc(10_000_000, 'x'))], TOO_LARGE],
  ['a message of one byte more than the limit', [text(' '.repeat(LIMIT + 1))], TOO_LARGE],
  ['fragments of one byte more than the limit', fragments(OPCODE.text, [' '.repeat(LIMIT), ' ']), TOO_LARGE],
  ['a length of 2^53', [text('', { length: 2 ** 53 })], TOO_LARGE],
  ['257 fragments', fragments(OPCODE.text, parts(257)), TOO_MANY_FRAGMENTS],
  ['10,000 fragments of nothing', fragments(OPCODE.text, parts(10_000)), TOO_MANY_FRAGMENTS],
  ['an unmasked frame', [text(PING, { isMasked: false })], BROKEN_FRAME],
  ...[1, 2, 4, 7].map((reservedBits): [string, Buffer[], typeof BROKEN_FRAME] => [`reserved bits ${reservedBits}`, [text(PING, { reservedBits })], BROKEN_FRAME]),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, Buffer[], typeof BROKEN_FRAME] => [`opcode ${opcode}`, [frame(opcode, PING)], BROKEN_FRAME]),
  ['a ping of 126 bytes', [frame(OPCODE.ping, Buffer.alloc(126))], BROKEN_FRAME],
  ['a ping in two fragments', [frame(OPCODE.ping, '', { isFinal: false })], BROKEN_FRAME],
  ['a continuation of nothing', [frame(OPCODE.continuation, PING)], BROKEN_FRAME],
  ['a message in the middle of another', [text('{', { isFinal: false }), text(PING)], BROKEN_FRAME],
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535].map((code): [string, Buffer[], typeof BROKEN_FRAME] => [`close code ${code}`, [closeFrame(code)], BROKEN_FRAME]),
  ['a close frame of one byte', [frame(OPCODE.close, 'x')], BROKEN_FRAME],
  ['a close reason that is not UTF-8', [closeFrame(1000, Buffer.from([0xff]))], NO_UTF8],
  ['text that is not UTF-8', [text(Buffer.from([0x22, 0xc3, 0x28, 0x22]))], NO_UTF8],
  ['text with a surrogate in UTF-8', [text(Buffer.from([0xed, 0xa0, 0x80]))], NO_UTF8],
  ['fragments that are not UTF-8 only together', fragments(OPCODE.text, [Buffer.from([0x22, 0xe2, 0x82]), Buffer.from([0x22])]), NO_UTF8]
]

t.test('a client that breaks the rules of the frames is closed with the code for it, and nobody else notices', async (t) => {
  const app = await boot(t)
  const witness = await connect(app)
  await witness.subscribe('mission_update')
  const caught = await uncaught(async () => {
    for (const [title, frames, { code, reason }] of abuses) {
      const before = await metric(app, 'closed_total', { reason })
      const client = await RawClient.connect(app)
      const { code: got } = await client.write(...frames).ended
      t.equal(got, code, title)
      t.equal(await metric(app, 'closed_total', { reason }), before + 1, `${title} counts once`)
      t.same(client.types, [], 'nothing of it is carried out')
      t.same(await witness.settle(), [], title)
    }
  })
  t.same(caught, [])
  while (app.missionControl.wsMetrics().connectionsOpen > 1) await nextTurn()
  app.missions.start('job')
  t.equal((await witness.next('mission_update')).payload.name, 'job')
})

t.test('a client that stays just within the rules is served', async (t) => {
  for (const make of [boot, bootBesideHost]) {
    const app = await make(t)
    const euro = Buffer.from('{"type":"ping","id":"€"}')
    const cut = euro.indexOf('€') + 1
    const allowed: Record<string, Buffer[]> = {
      'a message of exactly the limit': [text(PING.padEnd(LIMIT))],
      'fragments of exactly the limit': fragments(OPCODE.text, [PING, ' '.repeat(LIMIT - PING.length)]),
      '256 fragments': fragments(OPCODE.text, parts(256)),
      'a fragment a byte': fragments(OPCODE.text, [...PING]),
      'one byte a packet': [],
      'a character split over two fragments': fragments(OPCODE.text, [euro.subarray(0, cut), euro.subarray(cut)]),
      'pings between its fragments': fragments(OPCODE.text, [...PING]).flatMap((one) => [one, frame(OPCODE.ping, 'p')]),
      'pongs that nobody asked for': [frame(OPCODE.pong, 'p'), text(PING)],
      'a ping of 125 bytes': [frame(OPCODE.ping, Buffer.alloc(125)), text(PING)],
      'a binary message': [frame(OPCODE.binary, PING)]
    }
    for (const [title, frames] of Object.entries(allowed)) {
      const client = await RawClient.connect(app)
      client.write(...frames)
      if (title === 'one byte a packet') {
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

t.test('beside a host\'s WebSocket server that allows 100 MiB', async (t) => {
  t.test('our own limit on messages still holds, also for one that never ends', async (t) => {
    const app = await bootBesideHost(t, { websocket: { maxMessagesPerSecond: 100_000 } })
    const witness = await connect(app)
    const half = (bytes: number) => text(Buffer.alloc(bytes, 'x'), { isFinal: false })
    const more = (bytes: number) => frame(OPCODE.continuation, Buffer.alloc(bytes, 'x'), { isFinal: false })
    const endless = Array.from({ length: 100 }, () => more(8_192))
    const large: Record<string, Buffer[]> = {
      'one byte more than the limit': [text(' '.repeat(LIMIT + 1))],
      '10 MB': [text(Buffer.alloc(10_000_000, 'x'))],
      'the head of 100 MB, and a part of it': [text(Buffer.alloc(1_000_000), { length: 100_000_000 })],
      'fragments without end': [half(8_192), ...endless],
      'fragments without end, and pings between them': [half(8_192), ...endless.flatMap((one) => [one, frame(OPCODE.ping, 'x'.repeat(125))])],
      'fragments without end, and pongs between them': [half(8_192), ...endless.flatMap((one) => [one, frame(OPCODE.pong, '')])],
      'fragments without end behind many small messages': [...Array.from({ length: 2_000 }, () => text(PING)), half(8_192), ...endless]
    }
    for (const [title, frames] of Object.entries(large)) {
      const client = await RawClient.connect(app)
      for (const one of frames) client.write(one)
      t.same(await client.ended, { code: 1009, reason: 'message_too_large' }, title)
      t.same(await witness.settle(), [])
    }
    t.equal(await metric(app, 'closed_total', { reason: 'message_too_large' }), Object.keys(large).length)
  })

  t.test('many small messages in few packets are no large one, nor are years of pings', async (t) => {
    const app = await bootBesideHost(t, { websocket: { maxMessagesPerSecond: 100_000 } })
    const client = await RawClient.connect(app)
    for (let round = 0; round < 5; round++) {
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

  t.test('broken frames are closed with their code, and counted', async (t) => {
    const app = await bootBesideHost(t)
    for (const [title, frames, { code, reason }] of abuses.filter(([, , { code }]) => code === 1002 || code === 1007)) {
      const before = await metric(app, 'closed_total', { reason })
      const client = await RawClient.connect(app)
      t.equal((await client.write(...frames).ended).code, code, title)
      t.equal(await metric(app, 'closed_total', { reason }), before + 1, title)
    }
  })

  t.test('none of our other routes upgrades', async (t) => {
    for (const make of [boot, bootBesideHost]) {
      const app = await make(t)
      for (const path of ['/health', '/health?probe=live', '/mission-control/ws-metrics', '/api/v1/metrics/prometheus']) {
        t.match(await exchange(app, upgradeRequest({ path })), /^HTTP\/1\.1 400 (?!.*101 Switching)/s, path)
      }
      t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
    }
  })
})
