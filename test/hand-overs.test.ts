import t from 'tap'
import type { ServerMessage } from '../schemas/messages/server-messages.js'
import { TURN_COST } from '../lib/hub/delivery/turn-work.js'
import { limitOwner } from '../lib/base/limits/limit-owner.js'
import { EVERYBODY } from '../lib/access/viewer.js'
import { BudgetOwners } from '../lib/hub/delivery/request-budget.js'
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
    t.ok(Math.max(...perTurn) <= 4_000_000, `${Math.max(...perTurn)} bytes in a turn`)
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
    const count = left!.received.length
    left!.send(UNSUBSCRIBE)
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

t.test('the budget of hand-overs', async (t) => {
  const FOREIGN = { mission_update: { epoch: 'another process', offset: 1, id: 'x' } }
  const ips = { a: { ip: '192.0.2.1' }, b: { ip: '192.0.2.2' } }
  const stateBytesOf = async (service: LargeHub): Promise<number> => {
    const client = service.connect(ips.b).send(SUBSCRIBE)
    await turnsUntil(service, () => updates(client) === service.states.size)
    return client.bytesIn
  }
  const outcome = ({ received }: LargeHubClient): string | undefined => {
    const message = received.findLast(({ replyTo }) => replyTo === 'last')
    return message?.type === 'subscription_error' ? message.error.code : message?.type
  }
  /** Subscribes and unsubscribes; returns the last reply. */
  const again = async (client: LargeHubClient, more: object = {}): Promise<string | undefined> => {
    client.send(UNSUBSCRIBE, { ...SUBSCRIBE, id: 'last', ...more })
    client.received.length = 0
    do await turn(); while (outcome(client) === undefined)
    return outcome(client)
  }

  for (const [title, messages] of Object.entries({
    'subscribe and unsubscribe': [SUBSCRIBE, UNSUBSCRIBE],
    'alternating filters': [{ ...SUBSCRIBE, filter: { missionIds: Array.from({ length: 64 }, (_, at) => `m${at}`) } }, SUBSCRIBE],
    'foreign epochs, cursors and snapshot': [{ ...SUBSCRIBE, since: FOREIGN, snapshot: true }, UNSUBSCRIBE, { ...SUBSCRIBE, endings: 100 }, UNSUBSCRIBE]
  })) {
    t.test(`limits the bytes of a minute to 64 times the state: ${title}`, async (t) => {
      const service = new LargeHub(300)
      const stateBytes = await stateBytesOf(service)
      const client = service.connect(ips.a)
      for (let second = 0; second < 60; second++) {
        for (let at = 0; at < 48; at++) client.send(messages[(second * 48 + at) % messages.length]!)
        await turn()
        await turn()
        client.received.length = Math.min(client.received.length, 5)
        service.clock.advance(1_000)
      }
      t.ok(client.bytesIn <= 64 * stateBytes, `${client.bytesIn / stateBytes} times`)
      t.ok(client.bytesIn >= 16 * stateBytes)
      t.same(service.errors, [])
    })
  }

  t.test('refuses with rate_limited and the time to wait; the subscription stays, and other clients are not affected', async (t) => {
    const service = new LargeHub(300)
    const client = service.connect(ips.a)
    let count = 0
    while (await again(client) === 'subscription_ack') count++
    t.ok(count >= 12 && count <= 17, `${count} times`)
    client.send({ ...SUBSCRIBE, id: 'last', filter: { missionIds: ['m1'] } })
    await turn()
    const [error] = client.ofType('subscription_error').map(({ error }) => error)
    t.match(error, { code: 'rate_limited', position: 0 })
    t.equal(await again(service.connect(ips.a)), 'subscription_ack', 'a new connection of this address')
    service.clock.advance(error!.retryAfterMs!)
    t.equal(await again(client), 'subscription_ack')
  })

  t.test('a subscription that exists stays when another filter is refused', async (t) => {
    const service = new LargeHub(300)
    const client = service.connect(ips.a)
    const filters = [undefined, { missionIds: ['m0'] }].map((filter) => ({ ...SUBSCRIBE, id: 'last', ...(filter && { filter }) }))
    for (let at = 0; outcome(client) !== 'rate_limited'; at++) {
      client.received.length = 0
      client.send(filters[at % 2]!)
      for (let turns = 0; turns < 10 && outcome(client) === undefined; turns++) await turn()
    }
    client.received.length = 0
    service.update('m0', 'executed')
    await turn()
    t.equal(updates(client), 1)
  })

  t.test('hinders no thousand clients of one address that connect twice within a minute', async (t) => {
    const service = new LargeHub(300)
    for (let round = 0; round < 2; round++) {
      const clients = Array.from({ length: 1_000 }, () => service.connect(ips.a).send(SUBSCRIBE))
      await turnsUntil(service, () => clients.every((client) => updates(client) === 300))
      for (const client of clients) {
        client.received.length = 0
        client.end()
      }
    }
    t.same(service.errors, [])
  })

  t.test('is not renewed by a new connection', async (t) => {
    const service = new LargeHub(300)
    const connectOnce = async (ip: object): Promise<string | undefined> => {
      const client = service.connect(ip)
      const reply = await again(client)
      client.end()
      return reply
    }
    let count = 0
    while (await connectOnce(ips.a) === 'subscription_ack') count++
    t.ok(count >= 128 && count <= 180, `${count} connections`)
    t.equal(await connectOnce(ips.b), 'subscription_ack', 'another address')
    service.clock.advance(60_000)
    t.equal(await connectOnce(ips.a), 'subscription_ack')
  })

  t.test('delays the recovery of a gap', async (t) => {
    const service = new LargeHub(300, { history: { maxMessages: 10 } })
    const client = service.connect(ips.a)
    while (await again(client) === 'subscription_ack');
    service.clock.advance(4_000)
    t.equal(await again(client), 'subscription_ack')
    await turnsUntil(service, () => updates(client) === 300)
    const lag = async () => {
      client.isReading = false
      for (let at = 0; at < 1_500; at++) service.update(`m${at % 300}`, `executed ${at}`)
      await turn()
      client.received.length = 0
      client.resume()
      for (let at = 0; at < 20; at++) await turn()
    }
    await lag()
    t.equal(client.ofType('subscription_gap').length, 0)
    client.send({ type: 'ping' })
    await turn()
    t.equal(client.ofType('pong').length, 1, 'replies are not delayed')
    service.clock.advance(60_000)
    await turnsUntil(service, () => updates(client) >= 300)
    t.equal(client.ofType('subscription_gap').length, 1)
    t.same(picture(client.received), present(service))
  })
})

t.test('a principal without connections is forgotten after 10 minutes, and beyond 10,000 of them', async (t) => {
  const owners = new BudgetOwners()
  const visit = (name: string, now: number) => {
    const owner = owners.opened(name)
    owners.closed(owner, now)
    return owner
  }
  const first = visit('a', 0)
  t.equal(visit('a', 1), first)
  visit('b', 600_001)
  t.equal(visit('a', 600_001), first)
  visit('b', 1_200_002)
  t.not(visit('a', 1_200_002), first)
  const [oldest, newest] = [visit('oldest', 1_200_003), visit('newest', 1_200_003)]
  for (let at = 0; at < 9_999; at++) visit(`other ${at}`, 1_200_003)
  t.equal(visit('newest', 1_200_003), newest)
  t.not(visit('oldest', 1_200_003), oldest)
  t.equal(limitOwner(EVERYBODY, undefined), '')
  t.equal(limitOwner(EVERYBODY, { ip: '192.0.2.1' }), '192.0.2.1')
  t.equal(limitOwner(EVERYBODY, { ip: '2001:db8:1:2::5' }), '2001:db8:1:2::/64', 'one client has all addresses of its network')
  t.equal(limitOwner({ id: 'ann', tenant: 'acme' }, { ip: '192.0.2.1' }), '["ann","acme"]', 'a principal has one budget at all addresses')
})

t.test('a client that sends too much receives the replies that are due before it is closed', async (t) => {
  const service = new LargeHub(5_000)
  const client = service.connect().send(SUBSCRIBE, ...Array.from({ length: 1_999 }, (_, at) => at === 1_000 ? { ...SUBSCRIBE, id: 'waiting' } : { type: 'ping', id: `ping ${at}` }))
  t.same(client.received, [])
  client.send({ type: 'ping', id: 'too many' }, { type: 'ping', id: 'ignored' })
  await turn()
  await turn()
  t.equal(client.closeReason, 'rate_limited')
  const replies = client.received.map(({ replyTo, type }) => replyTo ?? type)
  t.equal(replies.filter((reply) => reply.startsWith('ping')).length, 1_998)
  t.equal(replies.at(-1), 'protocol_error')
  t.notOk(replies.includes('waiting'))
})

t.test('a client that sends too much receives the acks of its commands before it is closed, unless it leaves', async (t) => {
  const command = { type: 'mission_cancel', missionId: 'm0' }
  const commands = Array.from({ length: 2_001 }, (_, at) => ({ ...command, id: `command ${at}` }))
  const client = new LargeHub(1).connect().send(...commands)
  t.equal(client.closeReason, undefined)
  const gone = new LargeHub(1).connect().send(...commands)
  gone.end()
  await turn()
  t.same([client.closeReason, gone.closeReason], ['rate_limited', undefined])
  t.equal(client.ofType('mission_ack').length, 2_000)
  t.equal(client.received.at(-1)!.type, 'protocol_error')
})

t.test('a client whose replaceable messages were dropped receives the present state in turns, and may leave or subscribe again meanwhile', async (t) => {
  const service = new LargeHub(20_000)
  const clients = [0, 1, 2].map(() => service.connect().send(SUBSCRIBE))
  const turns = async (count: number) => { for (let at = 0; at < count; at++) await turn() }
  while (clients.some((client) => client.received.length < 20_001)) await turn()
  for (const client of clients) client.isReading = false
  for (let at = 0; at < 10_000; at++) service.update(`m${at}`, 'progress')
  await turns(3)
  // The recovery of the first one is under way when it leaves; the others wait for their turn.
  const [again, leaves, stays] = clients as [LargeHubClient, LargeHubClient, LargeHubClient]
  const before = clients.map(({ received }) => received.length)
  for (const client of clients) client.resume()
  await turn()
  leaves.send({ type: 'unsubscribe', channels: ['mission_update'], id: 'leave' })
  again.send({ type: 'unsubscribe', channels: ['mission_update'], id: 'leave' }, { ...SUBSCRIBE, id: 'again' })
  await turns(200)
  const causes = clients.map((client) => client.ofType('subscription_gap').map(({ payload }) => payload.cause))
  t.same(causes, [[], [], ['overflow']])
  const gapAt = stays.received.findIndex(({ type }) => type === 'subscription_gap')
  t.equal(stays.received.slice(gapAt).filter(({ type }) => type === 'mission_update').length, 20_000)
  t.notOk(leaves.received.slice(before[1]).some(({ type }) => type === 'mission_update'))
  t.equal(again.received.slice(before[0]).filter(({ type }) => type === 'mission_update').length, 20_000)
})

t.test('a slow client that sends too much receives the replies that waited for it before it is closed', async (t) => {
  const service = new LargeHub(2_000, { maxMessagesPerSecond: 10 })
  const client = service.connect().send(SUBSCRIBE)
  while (client.received.length < 2_001) await turn()
  client.isReading = false
  for (let at = 0; at < 1_000; at++) service.update(`m${at}`, 'changed')
  await turn()
  const before = client.received.length
  client.send({ type: 'ping', id: 'waits' })
  await turn()
  t.equal(client.received.length, before, 'it does not read')
  client.send(...Array.from({ length: 19 }, () => ({ type: 'ping' })))
  await turn()
  await turn()
  t.equal(client.closeReason, 'rate_limited')
  const after = client.received.slice(before)
  t.equal(after[0]!.replyTo, 'waits')
  t.notOk(after.some(({ type }) => type === 'mission_update'), 'nothing of a channel')
})
