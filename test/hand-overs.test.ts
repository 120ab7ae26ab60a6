import t from 'tap'
import type { ServerMessage } from '../schemas/messages/server-messages.js'
import { TURN_COST } from '../lib/hub/delivery/turn-work.js'
import { LargeHub, turn, type LargeHubClient } from './support/large-hub.js'

const SUBSCRIBE = { type: 'subscribe', id: 'subscribe', channels: ['mission_update'] }
const UNSUBSCRIBE = { type: 'unsubscribe', channels: ['mission_update'] }
/** The highest number of states that may be encoded in one turn: each costs more than 20. */
const ENCODED_PER_TURN = TURN_COST / 20

/** Waits until `isDone`; returns the numbers of states that were encoded per turn. */
async function turnsUntil (service: LargeHub, isDone: () => boolean): Promise<number[]> {
  const encoded: number[] = []
  for (let before = service.encoded; !isDone(); before = service.encoded) {
    await turn()
    encoded.push(service.encoded - before)
    if (encoded.length > 1_000) throw new Error(`still not done, but ${isDone}`)
  }
  return encoded
}

/** The missions as a client shows them: the snapshot, then the updates; throws if one moves backwards. */
function picture (received: readonly ServerMessage[]): Map<string, string> {
  const shown = new Map<string, string>()
  const seqs = new Map<string, number>()
  for (const message of received) {
    if (message.type !== 'mission_update') continue
    const { missionId, status, seq } = message.payload
    if (seq < (seqs.get(missionId) ?? 0)) throw new Error(`${missionId} moved back to ${seq}`)
    seqs.set(missionId, seq)
    shown.set(missionId, status)
  }
  return shown
}

const present = ({ states }: LargeHub): Map<string, string> => new Map([...states.values()].map(({ missionId, status }) => [missionId, status]))
const isAcked = (client: LargeHubClient): boolean => client.ofType('subscription_ack').length > 0
const updates = (client: LargeHubClient): number => client.ofType('mission_update').length

t.test('a snapshot of many missions', async (t) => {
  t.test('is made in turns, and other clients are answered in between', async (t) => {
    const service = new LargeHub(5_000)
    const client = service.connect().send(SUBSCRIBE)
    t.ok(service.encoded <= ENCODED_PER_TURN, `${service.encoded} states in the turn of the subscribe`)
    const other = service.connect().send({ type: 'ping' })
    await turn()
    t.equal(other.ofType('pong').length, 1)
    t.notOk(isAcked(client))
    const encoded = await turnsUntil(service, () => updates(client) === 5_000)
    t.ok(Math.max(...encoded) <= ENCODED_PER_TURN, `${encoded} states per turn`)
    t.equal(service.encoded, 5_000, 'each state is encoded once')
    t.equal(client.ofType('subscription_ack')[0]!.payload.messages, 5_000)
    service.connect().send(SUBSCRIBE)
    t.equal(service.encoded, 5_000, 'also for the next subscriber')
  })

  t.test('is that of the moment of its ack, whatever changes while it is made', async (t) => {
    const service = new LargeHub(5_000)
    // The channel is open: its changes are published.
    const early = service.connect().send({ ...SUBSCRIBE, filter: { missionIds: ['m0'] } })
    await turnsUntil(service, () => isAcked(early))
    const client = service.connect().send(SUBSCRIBE)
    for (let at = 0; !isAcked(client); at++) {
      service.update(`m${at}`, 'ended')
      service.update(`m${4_000 - at}`, 'executed')
      service.update(`m${4_500 + at}`, 'progress')
      await turn()
    }
    service.update('m1000', 'ended')
    service.update('m1001', 'executed')
    const { messages, asOf } = client.ofType('subscription_ack')[0]!.payload
    const live = () => client.ofType('mission_update').slice(messages).flatMap(({ position }) => position?.offset ?? [])
    const { head } = service
    await turnsUntil(service, () => live().includes(head))
    t.same(live(), Array.from({ length: head - asOf!.offset }, (_, at) => asOf!.offset + at + 1), 'every reliable update after the snapshot')
    const shown = picture(client.received)
    t.equal(shown.get('m1000'), 'ended')
    t.same(new Map([...shown].filter(([, status]) => status !== 'ended')), present(service))
    t.same(service.errors, [])
  })

  t.test('delays later messages of its client, so that replies come in order', async (t) => {
    const service = new LargeHub(5_000)
    const client = service.connect().send(SUBSCRIBE, { type: 'ping', id: 'ping' }, { ...SUBSCRIBE, id: 'again' }, UNSUBSCRIBE, SUBSCRIBE, { type: 'whoami' })
    await turnsUntil(service, () => client.ofType('whoami').length === 1)
    const replies = client.received.filter(({ type }) => type !== 'mission_update')
    t.same(replies.map(({ type, replyTo }) => replyTo ?? type), ['subscribe', 'ping', 'again', 'subscription_ack', 'subscribe', 'whoami'])
  })

  t.test('is given up when its client has gone, and its other messages are not carried out', async (t) => {
    const service = new LargeHub(5_000)
    const client = service.connect().send(SUBSCRIBE, { type: 'ping' })
    client.end()
    await turn()
    await turn()
    const { encoded } = service
    await turn()
    t.equal(service.encoded, encoded)
    t.same([client.received, service.errors], [[], []])
  })

  t.test('that fails is answered with internal_error, and later messages are carried out', async (t) => {
    const service = new LargeHub(5_000)
    service.onRead = () => { if (service.read === 4_000) throw new Error('cannot read') }
    const client = service.connect().send(SUBSCRIBE, { type: 'ping' })
    await turnsUntil(service, () => client.ofType('pong').length === 1)
    t.match(client.received, [{ type: 'protocol_error', error: { code: 'internal_error' } }, { type: 'pong' }])
    t.match(service.errors, [{ message: 'cannot read' }])
  })
})

t.test('a cursor whose messages are trimmed while the snapshot is made continues from that snapshot', async (t) => {
  const service = new LargeHub(5_000, { history: { maxMessages: 5 } })
  const early = service.connect().send({ ...SUBSCRIBE, filter: { missionIds: ['m0'] } })
  await turnsUntil(service, () => isAcked(early))
  service.update('m0', 'executed')
  const { payload: { asOf } } = early.ofType('subscription_ack')[0]!
  const { epoch, offset, id } = asOf!
  const client = service.connect().send({ ...SUBSCRIBE, snapshot: true, since: { mission_update: { epoch, offset, id } } })
  t.notOk(isAcked(client))
  for (let at = 1; at <= 10; at++) service.update(`m${at}`, 'ended')
  await turnsUntil(service, () => updates(client) === 5_000)
  t.match(client.ofType('subscription_ack')[0]!.payload, { outcome: 'gap', gap: { cause: 'trimmed', range: { from: 1, to: 11 } }, messages: 5_000 })
  const shown = picture(client.received)
  t.equal([...shown.values()].filter((status) => status === 'ended').length, 10, 'no ending is lost')
})

t.test('a list of states is shared until one of them changes, and for 20 ms', async (t) => {
  const service = new LargeHub(300)
  const read = (filter?: object): number => {
    const { read } = service
    service.connect().send({ ...SUBSCRIBE, ...(filter && { filter }) })
    return service.read - read
  }
  t.same([read(), read(), read({ missionIds: ['m1'] }), read({ missionIds: ['m1'] }), read()], [300, 0, 300, 0, 0])
  service.update('m1', 'progress')
  t.same([read(), read()], [300, 0])
  service.clock.advance(20)
  t.equal(read(), 0)
  service.clock.advance(1)
  t.equal(read(), 300)
  for (let at = 0; at < 64; at++) {
    await turn()
    read({ missionIds: [`m${at}`] })
  }
  await turn()
  t.equal(read(), 300, 'for at most 64 filters')
  t.same(service.errors, [])
  const small = new LargeHub(255)
  small.connect().send(SUBSCRIBE)
  small.connect().send(SUBSCRIBE)
  t.equal(small.read, 510, 'a small list costs nothing and is always that of the present')
  await turn()
})

t.test('a filter is applied before a state is encoded', async (t) => {
  const service = new LargeHub(5_000)
  const client = service.connect().send({ ...SUBSCRIBE, filter: { missionIds: ['m7', 'm4000'] } })
  await turn()
  t.equal(service.encoded, 2)
  t.same([...picture(client.received).keys()], ['m7', 'm4000'])
})

t.test('a burst of subscribes with filters reads a bounded number of states per turn', async (t) => {
  const service = new LargeHub(5_000)
  const since = { mission_update: { epoch: 'another process', offset: 1, id: 'x' } }
  const client = service.connect()
  for (let at = 0; at < 50; at++) client.send({ ...SUBSCRIBE, since, filter: { missionIds: [`m${at}`] } }, UNSUBSCRIBE)
  const read: number[] = [service.read]
  for (let before = service.read; client.ofType('subscription_ack').length < 100; before = service.read) {
    await turn()
    read.push(service.read - before)
  }
  t.ok(Math.max(...read) <= TURN_COST + 5_000, `${read} states per turn`)
  const { channel, status, outcome } = client.ofType('subscription_ack')[98]!.payload
  t.same([channel, status, outcome], ['mission_update', 'subscribed', 'gap'])
})

t.test('slow clients that read again together', async (t) => {
  const wake = async (count: number) => {
    const service = new LargeHub(5_000, { history: { maxMessages: 10 } })
    const clients = Array.from({ length: count }, () => service.connect().send(SUBSCRIBE))
    await turnsUntil(service, () => clients.every((client) => updates(client) === 5_000))
    for (const client of clients) client.isReading = false
    for (let at = 0; at < 2_000; at++) {
      service.update(`m${at}`, at % 2 === 0 ? 'executed' : 'ended')
      if (at % 100 === 0) await turn()
    }
    await turn()
    const before = service.encoded
    for (const client of clients) client.resume()
    return { service, clients, before }
  }

  t.test('receive the same encoded states, a bounded number of bytes per turn, and others are answered in between', async (t) => {
    const { service, clients, before } = await wake(20)
    const other = service.connect().send({ type: 'ping' })
    const bytesIn = () => clients.reduce((sum, client) => sum + client.bytesIn, 0)
    const perTurn: number[] = []
    for (let last = bytesIn(); !clients.every((client) => picture(client.received).get('m1999') === 'ended'); last = bytesIn()) {
      await turn()
      perTurn.push(bytesIn() - last)
      if (perTurn.length === 1) t.equal(other.ofType('pong').length, 1)
      if (perTurn.length > 2_000) throw new Error('not caught up')
    }
    t.ok(Math.max(...perTurn) <= 2 * 524_288 + 65_536 * 2, `${Math.max(...perTurn)} bytes in a turn`)
    t.ok(service.encoded - before <= 2_000, `${service.encoded - before} states encoded for 20 clients`)
    for (const client of clients) {
      t.ok(client.ofType('subscription_gap').length > 0)
      const shown = picture(client.received)
      t.same(new Map([...shown].filter(([, status]) => status !== 'ended')), present(service))
      t.equal(shown.size, 5_000, 'no ending is lost')
    }
    t.same(service.errors, [])
  })

  t.test('and leave or subscribe again meanwhile receive what they asked for', async (t) => {
    const { service, clients: [gone, left, other] } = await wake(3)
    gone!.end()
    left!.send(UNSUBSCRIBE)
    const count = left!.received.length
    const before = other!.received.length
    other!.send({ ...SUBSCRIBE, id: 'other', filter: { missionIds: ['m2', 'm4000'] } })
    await turnsUntil(service, () => other!.received.slice(before).some(({ type, replyTo }) => type === 'subscription_ack' && replyTo === 'other'))
    for (let at = 0; at < 100; at++) await turn()
    t.same(left!.received.slice(count).map(({ type }) => type), ['subscription_ack'])
    const after = other!.received.slice(other!.received.findIndex(({ replyTo }) => replyTo === 'other') + 1)
    t.same([...picture(after).keys()], ['m2', 'm4000'])
    t.same(service.errors, [])
  })
})
