import t from 'tap'
import { WebSocket } from 'ws'
import { connect, type Client, type ClientError } from '../lib/client/index.js'
import type { MissionControlOptions } from '../lib/index.js'
import { boot } from './support/app.js'
import { urlOf } from './support/client.js'
import { cursor, connectClient, connectSubscribed, type FakeService } from './support/fake-service.js'
import { settle } from './support/missions.js'

const refused = async (promise: Promise<unknown>): Promise<ClientError> =>
  await promise.then(() => { throw new Error('the promise did not reject') }, (err: ClientError) => err)

const typesOf = (service: FakeService): string[] => service.socket.sent.map(({ type }) => type)
const count = (service: FakeService, type: string): number => typesOf(service).filter((sent) => sent === type).length

/** Answers the `whoami` of the client. */
async function tellLimits (service: FakeService, limits: unknown): Promise<void> {
  service.send('whoami', { replyTo: service.socket.last('whoami').id, payload: { limits } })
  await settle()
}

const limits = (maxMessagesPerSecond: number, maxPayloadBytes = 16_384) => ({ maxMessagesPerSecond, maxPayloadBytes })

/** Advances the clock in small steps and checks the messages against the rate limit of a service. */
function pass (service: FakeService, ms: number, perSecond: number, tokens: number): boolean {
  let counted = service.socket.sent.length
  for (let at = 0; at < ms; at += 10) {
    service.clock.advance(10)
    tokens = Math.min(2 * perSecond, tokens + perSecond / 100) - (service.socket.sent.length - counted)
    counted = service.socket.sent.length
    if (tokens < 0) return false
  }
  return true
}

t.test('requests are paced', async (t) => {
  t.test('by the limits of the service, which the client asks for with its fourth request', async (t) => {
    const service = await connectSubscribed(t)
    for (let at = 0; at < 30; at++) service.client.cancel(`m${at}`).catch(() => {})
    t.strictSame(typesOf(service), ['subscribe', 'mission_cancel', 'mission_cancel', 'mission_cancel', 'whoami'], 'nothing before the answer')
    await tellLimits(service, limits(5))
    t.ok(pass(service, 6_500, 5, 5))
    t.equal(count(service, 'mission_cancel'), 30)
    t.equal(count(service, 'whoami'), 1)
    t.strictSame(service.socket.sent.filter(({ type }) => type === 'mission_cancel').map(({ missionId }) => missionId), Array.from({ length: 30 }, (_, at) => `m${at}`), 'in order')
  })

  t.test('by the default limits when the service does not tell its own', async (t) => {
    for (const answer of ['none', 'refusal', 'without limits']) {
      const service = await connectSubscribed(t)
      for (let at = 0; at < 200; at++) service.client.cancel(`m${at}`).catch(() => {})
      if (answer === 'none') service.clock.advance(5_000)
      if (answer === 'refusal') service.send('protocol_error', { replyTo: service.socket.last('whoami').id, error: { code: 'unsupported', message: 'No.' } })
      if (answer === 'without limits') service.send('whoami', { replyTo: service.socket.last('whoami').id, payload: {} })
      await settle()
      t.ok(count(service, 'mission_cancel') <= 3 + 50, answer)
      t.ok(pass(service, 5_000, 50, 50), answer)
      t.equal(count(service, 'mission_cancel'), 200, answer)
    }
  })

  t.test('retries too, and each connection starts anew', async (t) => {
    const service = await connectSubscribed(t)
    for (let at = 0; at < 60; at++) service.client.cancel(`m${at}`, { timeoutMs: 600_000 }).catch(() => {})
    await tellLimits(service, limits(10))
    service.clock.advance(10_000)
    t.equal(count(service, 'mission_cancel'), 60)
    service.drop()
    service.clock.advance(30_000)
    await settle()
    service.open()
    t.equal(typesOf(service).at(-1), 'whoami', 'another process may have other limits')
    await tellLimits(service, limits(20))
    t.equal(service.socket.sent.length, 20)
    t.ok(pass(service, 5_000, 20, 20))
    t.equal(count(service, 'mission_cancel'), 60)
  })

  t.test('one that is given up in the queue is not sent', async (t) => {
    const service = await connectSubscribed(t)
    for (let at = 0; at < 5; at++) service.client.cancel(`m${at}`).catch(() => {})
    const late = refused(service.client.cancel('late', { timeoutMs: 100 }))
    service.clock.advance(100)
    t.match(await late, { code: 'MC_CLIENT_TIMEOUT' })
    await tellLimits(service, limits(50))
    t.equal(count(service, 'mission_cancel'), 5)
  })

  t.test('and wait for the next connection when theirs is lost first', async (t) => {
    const service = await connectSubscribed(t)
    const calls = Array.from({ length: 6 }, (_, at) => service.client.start(`c${at}`))
    const results = calls.map(async (call) => await call.then(({ missionId }) => missionId, ({ code }: ClientError) => code))
    service.drop()
    await settle()
    service.clock.advance(1_000)
    await settle()
    service.open()
    t.strictSame(typesOf(service), ['subscribe', 'mission_start', 'mission_start', 'mission_start'], 'the first three have an unknown outcome')
    for (const { id, command } of service.socket.sent.slice(1)) service.send('mission_ack', { replyTo: id, payload: { missionId: command, status: 'accepted' } })
    t.strictSame(await Promise.all(results), [...Array(3).fill('MC_CLIENT_OUTCOME_UNKNOWN'), 'c3', 'c4', 'c5'])
  })
})

t.test('a request that is too large', async (t) => {
  const prompt = 'x'.repeat(19_000)

  t.test('fails alone before it is sent, and the others are sent', async (t) => {
    const service = await connectSubscribed(t)
    const large = refused(service.client.start(prompt))
    const small = service.client.start('small')
    t.strictSame(typesOf(service), ['subscribe', 'whoami'])
    await tellLimits(service, limits(50))
    t.match(await large, { code: 'MC_CLIENT_TOO_LARGE', message: 'mission_start' })
    t.strictSame(typesOf(service), ['subscribe', 'whoami', 'mission_start'])
    service.send('mission_ack', { replyTo: service.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    t.match(await small, { missionId: 'm' })
    t.equal(service.client.state, 'open')
  })

  t.test('is measured in bytes against the limit of the service', async (t) => {
    const service = await connectSubscribed(t)
    service.client.start(prompt, { id: 'a' }).catch(() => {})
    await tellLimits(service, limits(50, 19_100))
    t.match(service.socket.last('mission_start'), { command: prompt })
    t.match(await refused(service.client.start('ü'.repeat(9_600), { id: 'b' })), { code: 'MC_CLIENT_TOO_LARGE' }, '9,600 characters are 19,200 bytes')
  })

  t.test('is measured against the default when the service does not tell its limit', async (t) => {
    const service = await connectSubscribed(t)
    const large = refused(service.client.start(prompt))
    service.clock.advance(5_000)
    t.match(await large, { code: 'MC_CLIENT_TOO_LARGE' })
  })
})

t.test('waiting calls', async (t) => {
  t.test('look up 16 missions at a time, each once', async (t) => {
    const service = await connectSubscribed(t)
    const waits = Array.from({ length: 40 }, async (_, at) => await refused(service.client.waitFor(`m${at}`)))
    await tellLimits(service, limits(1_000))
    const asked = () => service.socket.sent.filter(({ type }) => type === 'mission_get')
    t.equal(asked().length, 16)
    service.send('heartbeat', { intervalMs: 30_000 })
    t.equal(asked().length, 16, 'a heartbeat repeats none')
    for (let at = 0; at < 40; at++) {
      service.send('protocol_error', { replyTo: asked()[at]!.id, error: { code: 'unknown_mission', message: 'None.' } })
      await settle()
      t.ok(asked().length <= 17 + at)
    }
    t.strictSame((await Promise.all(waits)).map(({ code, message }) => `${code} ${message}`), Array.from({ length: 40 }, (_, at) => `MC_CLIENT_NOT_FOUND m${at}`))
    t.equal(asked().length, 40)
  })

  /** 1,000 waiting calls for active missions; the service is restarted. */
  async function restart (service: FakeService): Promise<Array<Promise<ClientError>>> {
    for (let at = 0; at < 1_000; at++) service.update(`m${at}`, 'planned', 1, at + 1)
    const waits = Array.from({ length: 1_000 }, async (_, at) => await refused(service.client.waitFor(`m${at}`)))
    service.drop()
    service.clock.advance(30_000)
    await settle()
    service.epoch = 'e2'
    service.open()
    service.ack('gap', { at: 0, messages: 1, gap: { cause: 'epoch_changed' } })
    service.snapshot('other', 'planned', 1)
    return waits
  }

  t.test('are answered by the first snapshot of a new process', async (t) => {
    const service = await connectSubscribed(t)
    const waits = await restart(service)
    t.ok((await Promise.all(waits)).every(({ code }) => code === 'MC_CLIENT_LOST'))
    t.strictSame(typesOf(service), ['subscribe'], 'no lookup')
    t.equal(service.emitted.filter((text) => text.startsWith('lost')).length, 1_000)
  })

  t.test('ask a new process when a filter may hide the missions', async (t) => {
    const service = await connectSubscribed(t, { filter: { names: ['import'] } })
    for (const wait of await restart(service)) wait.catch(() => {})
    await settle()
    t.equal(count(service, 'mission_get'), 3)
    t.match(service.client.cursors.mission_update, cursor(0, 'e2'))
  })
})

t.test('over a real connection', async (t) => {
  /** Connects a client to a service whose missions only clients end. */
  async function follow (t: Parameters<typeof boot>[0], websocket: MissionControlOptions['websocket'] = {}): Promise<{ client: Client, states: string[], app: Awaited<ReturnType<typeof boot>> }> {
    const app = await boot(t, { websocket, missions: { maxActive: 2_000 } })
    app.missions.handle({
      start: { start: (command) => app.missions.spawn({ name: `${command.length}` }, async () => {}) },
      cancel: {}
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const client = connect(urlOf(app), { WebSocket })
    t.teardown(() => client.close())
    const states: string[] = []
    client.on('state', ({ state, cause }) => { states.push(`${state} ${cause}`) })
    await client.ready
    return { client, states, app }
  }

  t.test('120 cancels at once are all acknowledged, and the feed stays up', async (t) => {
    const { client, states, app } = await follow(t)
    for (let at = 0; at < 120; at++) app.missions.start({ id: `m${at}`, name: 'job' })
    const acks = await Promise.all(Array.from({ length: 120 }, async (_, at) => await client.cancel(`m${at}`)))
    t.equal(acks.filter(({ action }) => action === 'cancel').length, 120)
    t.strictSame(states, ['open connected'])
  })

  t.test('a service with a lower limit does not cut the client off either', async (t) => {
    const { client, states } = await follow(t, { maxMessagesPerSecond: 10 })
    await Promise.all(Array.from({ length: 30 }, async () => await client.ping()))
    t.strictSame(states, ['open connected'])
  })

  t.test('a pasted prompt of 19 kB is refused, or accepted by a service with a higher limit', async (t) => {
    const prompt = 'x'.repeat(19_000)
    const { client, states } = await follow(t)
    t.match(await refused(client.start(prompt)), { code: 'MC_CLIENT_TOO_LARGE' })
    t.ok(await client.ping() >= 0)
    t.strictSame(states, ['open connected'])
    const large = await follow(t, { maxPayloadBytes: 65_536 })
    t.match(await large.client.waitFor((await large.client.start(prompt)).missionId), { status: 'completed', name: '19000' })
  })
})

t.test('a subscription that the service puts off', async (t) => {
  const putOff = (service: FakeService, retryAfterMs: number, fields: Record<string, unknown> = { position: 0 }): void =>
    service.send('subscription_error', { replyTo: service.socket.last('subscribe').id, error: { code: 'rate_limited', message: 'Later.', retryAfterMs, ...fields } })

  t.test('is requested again at the time of the service, from the same cursor and without an error event', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'planned', 1, 1)
    service.drop()
    service.clock.advance(1_000)
    await settle()
    const first = service.open()
    t.match(first['since'], { mission_update: cursor(1) })
    putOff(service, 700)
    putOff(service, 700, { position: 1 })
    const wait = service.client.waitFor('hidden')
    wait.catch(() => {})
    service.clock.advance(699)
    t.equal(count(service, 'subscribe'), 1)
    service.clock.advance(1)
    t.equal(count(service, 'subscribe'), 2)
    const { id, ...second } = service.socket.last('subscribe')
    t.not(id, first.id)
    t.strictSame({ ...second, id: first.id }, first)
    putOff(service, 10)
    service.clock.advance(10)
    t.equal(count(service, 'subscribe'), 3)
    t.strictSame(typesOf(service), ['subscribe', 'subscribe', 'subscribe'], 'no lookup before the catch-up')
    service.ack('resumed', { at: 2, messages: 1 })
    service.update('a', 'completed', 2, 2)
    t.strictSame(service.errors, [])
    t.strictSame(service.client.cursors, { mission_update: cursor(2) })
    t.equal(service.emitted.at(-1), 'completed a 2')
    t.equal(service.socket.last('mission_get')['missionId'], 'hidden')
  })

  t.test('delays ready instead of rejecting it, and the other channels continue', async (t) => {
    const service = await connectClient(t, { channels: ['mission_stats', 'mission_update'], filter: { names: ['import'] } })
    let isReady = false
    service.client.ready.then(() => { isReady = true })
    service.open()
    putOff(service, 500, { position: 1 })
    service.ack('fresh', { channel: 'mission_stats' })
    await settle()
    t.notOk(isReady)
    service.clock.advance(500)
    t.match(service.socket.last('subscribe'), { channels: ['mission_update'], filter: { names: ['import'] } })
    service.ack('fresh', { at: 0, messages: 0 })
    await settle()
    t.ok(isReady)
    t.strictSame(service.errors, [])
  })

  t.test('may be several channels in one answer', async (t) => {
    const service = await connectClient(t, { channels: ['mission_stats', 'mission_update'] })
    service.open()
    putOff(service, 500, {})
    service.clock.advance(500)
    t.strictSame(service.socket.sent.map(({ channels }) => channels), [['mission_stats', 'mission_update'], ['mission_stats'], ['mission_update']])
  })

  t.test('asks for the endings again that a repair needs', async (t) => {
    const service = await connectClient(t)
    service.open()
    service.ack('fresh', { at: 1, messages: 0, checksum: '1-00000000' })
    t.match(service.socket.last('subscribe'), { endings: 100 })
    putOff(service, 500)
    service.clock.advance(500)
    t.equal(count(service, 'subscribe'), 3)
    t.match(service.socket.last('subscribe'), { endings: 100 })
  })

  t.test('is requested at once over a new connection, and not at all by a closed client', async (t) => {
    const service = await connectSubscribed(t)
    service.drop()
    service.clock.advance(1_000)
    await settle()
    service.open()
    putOff(service, 600_000)
    service.drop()
    service.clock.advance(30_000)
    await settle()
    service.open()
    t.equal(count(service, 'subscribe'), 1)
    service.ack('resumed', { at: 0, messages: 0 })
    service.clock.advance(20_000)
    t.equal(count(service, 'subscribe'), 1)
    const late = await connectClient(t)
    late.open()
    putOff(late, 1_000)
    late.client.close()
    late.clock.advance(1_000)
    t.equal(count(late, 'subscribe'), 1)
  })

  t.test('without a time is refused as before, and only the channel that the service names', async (t) => {
    const service = await connectClient(t, { channels: ['mission_stats', 'mission_update'] })
    const asked = service.open()
    service.send('subscription_error', { replyTo: asked.id, error: { code: 'forbidden', message: 'No.', position: 0 } })
    t.match(await refused(service.client.ready), { code: 'MC_CLIENT_REFUSED', reason: 'forbidden' })
    service.update('a', 'planned', 1, 1)
    t.strictSame(service.emitted, ['open: connected'], 'nothing before the ack')
    service.ack('fresh', { at: 1, messages: 1 })
    service.snapshot('a', 'planned', 1)
    t.equal(service.emitted.at(-1), 'planned a 1')
  })
})
