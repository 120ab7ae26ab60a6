import websocket from '@fastify/websocket'
import fc from 'fast-check'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import type { ChannelName } from '../schemas/channels/index.js'
import type { SubscriptionFilter } from '../schemas/filter.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import type { Channel } from '../lib/hub/channel.js'
import type { Writable } from '../lib/hub/delivery/batch.js'
import { MessageLog } from '../lib/hub/history/message-log.js'
import { SnapshotCache } from '../lib/hub/history/snapshot-cache.js'
import { SnapshotCopies } from '../lib/hub/history/snapshot-copies.js'
import { MessageEnvelope } from '../lib/hub/wire/envelope.js'
import { Message, MessageBody, type LoggedMessage, type MessageOptions } from '../lib/hub/wire/message.js'
import { HIGH_WATER_BYTES, type Outbox } from '../lib/hub/delivery/outbox.js'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { boot, closingSoon } from './support/app.js'
import { connect, type Client } from './support/client.js'
import { OutboxStand } from './support/outbox-stand.js'
import { RawClient } from './support/raw-client.js'

/**
 * One outbox over a writer that takes bytes only when the test says so, and a channel of missions whose state is their last
 * step.
 */
function createStand ({ maxBytes = 1_000_000, buffers = true, maxMessages = 10_000 } = {}) {
  const stand = new OutboxStand({ maxMessages })
  const { clock, metrics, scheduler, log, snapshots, states } = stand
  let steps = 0
  const sent: any[] = []
  const buffered: number[] = []
  const writer = {
    bufferedBytes: 0,
    write: (batch: Writable) => writer.bufferedBytes >= HIGH_WATER_BYTES ? -1 : writer.writeAll(batch.messages()),
    writeAll (messages: readonly Message[]) {
      let bytes = 0
      for (const message of messages) {
        sent.push(JSON.parse(message.text.toString()))
        bytes += message.bytes
      }
      if (buffers) {
        writer.bufferedBytes += bytes
        buffered.push(bytes)
      }
      return bytes
    }
  }
  let overflows = 0
  const subscriptions = new Map([['mission_update' as ChannelName, { sequence: 1, offset: 1 }]])
  const outbox: Outbox = stand.open({
    writer,
    subscriptions,
    maxBytes,
    onOverflow () {
      overflows++
      outbox.close()
    }
  })
  const pad = (bytes: number) => 'x'.repeat(bytes)
  const reply = (name: string, bytes = 100) => outbox.send(new Message(JSON.stringify({ reply: name, pad: pad(bytes) })))
  /** A reliable step of a mission. */
  const step = (id: string, bytes = 100) => {
    const seq = ++steps
    const position = log.nextPosition('mission_update')
    const message = new Message(JSON.stringify({ id, seq, offset: position.offset, pad: pad(bytes) }), { channel: 'mission_update', position, supersedes: id })
    states.set(id, seq)
    log.append(message as LoggedMessage)
    outbox.send(message)
    scheduler.countSent(message)
  }
  /** Replaceable progress of a mission. */
  const progress = (id: string, bytes = 100) => {
    const seq = ++steps
    states.set(id, seq)
    outbox.send(new Message(JSON.stringify({ id, seq, pad: pad(bytes) }), { channel: 'mission_update', key: id }))
  }
  /** Lets the system take this many of the writes that are buffered. */
  const take = (writes = Infinity) => {
    scheduler.flush()
    for (let taken = 0; taken < writes && buffered.length > 0; taken++) {
      writer.bufferedBytes -= buffered.shift()!
      outbox.drained()
      scheduler.flush()
    }
  }
  /** Writes so much that all further messages become pending. */
  const plug = () => {
    reply('plug', 70_000)
    scheduler.flush()
  }
  /** The client may no longer see messages with this text. */
  const hide = (text: string) => {
    stand.fits = (message) => !message.text.toString().includes(text)
    outbox.recheck('mission_update')
  }
  const { endingsAfter } = stand
  return { clock, metrics, log, scheduler, snapshots, endingsAfter, outbox, writer, hide, sent, states, subscriptions, reply, step, progress, take, plug, overflows: () => overflows }
}

/** Each sent message as a short text. */
const summaries = (sent: any[]): string[] => sent.map(({ reply, type, id, seq, payload, conflated }) =>
  reply ?? (type === 'subscription_gap' ? `gap ${payload.cause}` : payload !== undefined ? `state ${payload.missionId} ${payload.seq}` : `${id} ${seq}${conflated === undefined ? '' : ` for ${conflated}`}`))

t.test('a client that keeps up is sent all messages of a tick at its end, in order', async (t) => {
  const { sent, scheduler, metrics, reply, step, progress, take } = createStand()
  reply('ack')
  progress('a')
  progress('a')
  step('a')
  reply('pong')
  t.same(sent, [])
  scheduler.flush()
  t.same(summaries(sent), ['ack', 'a 1', 'a 2', 'a 3', 'pong'])
  t.equal(metrics.messagesSentTotal, 5)
  t.equal(metrics.replacedTotal, 0)
  take()
  step('b')
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(summaries(sent).at(-1), 'b 4')
})

t.test('a slow client is sent replies first, then reliable messages in order, then the newest replaceable message per key with the number of those it replaced', async (t) => {
  const { sent, metrics, outbox, plug, reply, step, progress, take } = createStand()
  plug()
  progress('a')
  step('b')
  progress('c')
  progress('a')
  step('b')
  progress('a')
  reply('pong')
  take(0)
  t.same(summaries(sent), ['plug'], 'nothing is written while the client does not read')
  t.ok(outbox.hasBackpressure && outbox.pendingBytes > 0)
  take(1)
  t.same(summaries(sent), ['plug', 'pong', 'b 2', 'b 5', 'a 6 for 2', 'c 3'])
  t.equal(metrics.replacedTotal, 2)
  take()
  t.notOk(outbox.hasBackpressure)
  t.equal(outbox.pendingBytes, 0)
})

t.test('the end of a mission drops its pending progress, and an unsubscribe drops all pending messages of the channel', async (t) => {
  const { sent, metrics, outbox, plug, reply, step, progress, take } = createStand()
  plug()
  progress('a')
  progress('b')
  step('a')
  take(0)
  t.equal(metrics.replacedTotal, 1)
  reply('ack')
  outbox.dropChannel('mission_update')
  t.equal(metrics.replacedTotal, 2)
  take()
  t.same(summaries(sent), ['plug', 'ack'])
})

for (const [title, isPending] of [['in the tick in which the client becomes slow', false], ['in a later tick', true]] as const) {
  t.test(`an unsubscribe ${title} drops all messages of its channel and none of the others`, async (t) => {
    const { sent, log, outbox, subscriptions, plug, step, progress, take } = createStand()
    for (const channel of ['health_delta', 'metrics_tick', 'anomaly_alert'] as const) subscriptions.set(channel, { sequence: 1, offset: 1 })
    const message = (name: string, options: MessageOptions) => new Message(JSON.stringify({ reply: name }), options)
    plug()
    step('a')
    if (isPending) progress('b')
    const position = log.nextPosition('health_delta')
    const logged = message('reliable', { channel: 'health_delta', position })
    log.append(logged as LoggedMessage)
    outbox.send(logged)
    outbox.send(message('replaceable', { channel: 'metrics_tick', key: 'tick' }))
    outbox.send(message('snapshot', { channel: 'anomaly_alert' }))
    if (isPending) take(0)
    subscriptions.delete('mission_update')
    outbox.dropChannel('mission_update')
    subscriptions.set('mission_update', { sequence: log.nextSequence, offset: log.head('mission_update') + 1 })
    step('c')
    take()
    t.match(summaries(sent), ['plug', 'snapshot', 'reliable', /^c \d$/, 'replaceable'])
    t.equal(sent.length, 5)
  })
}

t.test('the gap of a channel that was subscribed to while the client lagged begins with the first missing message', async (t) => {
  const { sent, log, outbox, subscriptions, plug, step, take } = createStand({ maxMessages: 100 })
  plug()
  for (let at = 0; at < 1_100; at++) step('a')
  take(0)
  t.ok(outbox.isLagging)
  for (const channel of ['health_delta', 'anomaly_alert'] as const) subscriptions.set(channel, { sequence: log.nextSequence, offset: log.head(channel) + 1 })
  for (let at = 0; at < 150; at++) {
    const position = log.nextPosition('health_delta')
    log.append(new Message(JSON.stringify({ reply: `health ${position.offset}` }), { channel: 'health_delta', position }) as LoggedMessage)
  }
  take()
  const gaps = sent.flatMap(({ type, payload }) => type === 'subscription_gap' ? payload : [])
  t.match(gaps, [{ channel: 'mission_update', range: { from: 1, to: 1_100 } }, { channel: 'health_delta', range: { from: 1, to: 150 } }])
})

t.test('pending replies beyond their limit close the outbox, once', async (t) => {
  const { sent, outbox, metrics, plug, reply, take, overflows } = createStand({ maxBytes: 1_000 })
  plug()
  reply('a', 400)
  reply('b', 400)
  take(0)
  t.equal(overflows(), 0)
  reply('c', 400)
  t.equal(overflows(), 1)
  t.ok(metrics.droppedTotal >= 3)
  reply('d')
  outbox.flushAll()
  outbox.checkProgress(1)
  take()
  t.same(summaries(sent), ['plug'])
  t.equal(overflows(), 1)
})

t.test('what a client may no longer see is not sent', async (t) => {
  const snapshot = () => new Message(JSON.stringify({ reply: 'snapshot' }), { channel: 'mission_update' })

  t.test('if it is pending', async (t) => {
    const { sent, outbox, subscriptions, hide, plug, step, progress, take } = createStand()
    subscriptions.set('metrics_tick', { sequence: 0, offset: 0 })
    plug()
    step('a')
    step('secret')
    outbox.send(new Message(JSON.stringify({ reply: 'secret of another channel' }), { channel: 'metrics_tick', key: 'tick' }))
    progress('b')
    progress('secret 2')
    take(0)
    hide('secret')
    take()
    t.strictSame(summaries(sent), ['plug', 'a 1', 'secret of another channel', 'b 3'])
  })

  t.test('but what was sent before is', async (t) => {
    const { sent, hide, progress, take } = createStand()
    progress('secret')
    hide('secret')
    take()
    t.strictSame(summaries(sent), ['secret 1'])
  })

  t.test('in a snapshot that is pending, which is replaced', async (t) => {
    const { sent, outbox, hide, plug, step, take } = createStand()
    step('a')
    take()
    plug()
    outbox.send(snapshot())
    take(0)
    hide('secret')
    take()
    t.strictSame(summaries(sent), ['a 1', 'plug', 'gap overflow', 'state a 1'])
    t.equal(sent[2].payload.range, undefined, 'no message was missed')
  })

  t.test('in a snapshot with messages that follow it, which are replaced too', async (t) => {
    const { sent, outbox, log, hide, plug, step, take } = createStand()
    plug()
    step('a')
    outbox.send(snapshot())
    take(0)
    hide('secret')
    hide('secret')
    step('b')
    take()
    t.strictSame(summaries(sent), ['plug', 'gap trimmed', 'state a 1', 'state b 2'])
    t.strictSame(sent[1].payload.range, { epoch: log.epoch, from: 1, to: 2 })
    step('c')
    take()
    t.equal(summaries(sent).at(-1), 'c 3')
  })

  t.test('in a snapshot of a channel that the client leaves', async (t) => {
    const { sent, outbox, subscriptions, hide, plug, step, take } = createStand()
    plug()
    step('a')
    outbox.send(snapshot())
    take(0)
    hide('secret')
    subscriptions.delete('mission_update')
    outbox.dropChannel('mission_update')
    take()
    t.strictSame(summaries(sent), ['plug'])
  })
})

t.test('a burst that the system takes at once makes no client slow, and a large one is written before the tick ends', async (t) => {
  const { sent, step, scheduler, overflows } = createStand({ maxBytes: 1_000, buffers: false })
  for (let at = 0; at < 50; at++) step('a', 65_536)
  t.ok(sent.length > 40)
  scheduler.flush()
  t.equal(sent.length, 50)
  t.equal(overflows(), 0)
})

t.test('a client that lags receives from the log only its channels, and each one from its subscription on', async (t) => {
  const { sent, outbox, subscriptions, log, plug, step, take } = createStand()
  const publish = (channel: ChannelName, name: string): void => {
    const message = new Message(JSON.stringify({ reply: name }), { channel, position: log.nextPosition(channel) })
    log.append(message as LoggedMessage)
    if (subscriptions.has(channel)) outbox.send(message)
  }
  plug()
  for (let at = 0; at < 30; at++) step(`m${at % 10}`, 10_000)
  t.ok(outbox.isLagging)
  publish('anomaly_alert', 'of a channel without a subscription')
  publish('health_delta', 'from before the subscription')
  subscriptions.set('health_delta', { sequence: log.nextSequence, offset: log.head('health_delta') + 1 })
  publish('health_delta', 'from after the subscription')
  take()
  t.same(sent.flatMap(({ reply }) => reply ?? []), ['plug', 'from after the subscription'])
})

t.test('a client that lags and subscribes again receives what it has missed, and nothing twice', async (t) => {
  const { sent, outbox, subscriptions, log, plug, step, take } = createStand()
  const message = new Message(JSON.stringify({ reply: 'missed' }), { channel: 'health_delta', position: log.nextPosition('health_delta') })
  log.append(message as LoggedMessage)
  const start = { sequence: log.nextSequence - 1, offset: 1 }
  subscriptions.set('mission_update', { sequence: log.nextSequence, offset: 1 })
  plug()
  for (let at = 0; at < 40; at++) step(`m${at % 10}`, 10_000)
  take(2)
  t.ok(outbox.isLagging)
  const received = sent.length
  t.ok(received > 2)
  subscriptions.set('health_delta', start)
  outbox.catchUp('health_delta', { start, firstMissingOffset: 1, snapshot: [] })
  take()
  t.equal(sent[received].reply, 'missed', 'the reader goes back for it')
  t.same(sent.flatMap(({ offset }) => offset ?? []), Array.from({ length: 40 }, (_, at) => at + 1))
})

for (const [title, fallBehind] of Object.entries({
  'by the number of messages': (stand: ReturnType<typeof createStand>) => { for (let at = 0; at < 1_100; at++) stand.step(`m${at % 10}`, 10) },
  'by their size': (stand: ReturnType<typeof createStand>) => { for (let at = 0; at < 30; at++) stand.step(`m${at % 10}`, 10_000) }
})) {
  t.test(`a client that lags, ${title}, has no queue of its own and receives the missed messages from the log`, async (t) => {
    const stand = createStand()
    const { sent, metrics, outbox, plug, progress, take, log } = stand
    plug()
    fallBehind(stand)
    take(0)
    t.ok(outbox.isLagging)
    t.ok(outbox.pendingBytes < 262_144)
    progress('m1')
    stand.step('last')
    take()
    t.notOk(outbox.isLagging)
    t.same(sent.flatMap(({ offset }) => offset ?? []), Array.from({ length: log.head('mission_update') }, (_, at) => at + 1), 'all of them, once and in order')
    t.equal(sent.at(-1).id, 'm1', 'then the newest replaceable message')
    t.equal(metrics.laggedTotal, 1)
  })
}

t.test('when the log was trimmed, the client receives a gap with the missing range, a snapshot and all later messages', async (t) => {
  const { sent, metrics, plug, step, progress, take, log } = createStand({ maxMessages: 100 })
  step('a')
  take()
  plug()
  for (let at = 0; at < 1_200; at++) step(`m${at % 3}`)
  progress('m1')
  take(1)
  step('b')
  take()
  const gap = sent.find(({ type }) => type === 'subscription_gap')
  t.match(gap.payload, { channel: 'mission_update', cause: 'trimmed', range: { epoch: log.epoch, from: 2, to: 1_201 }, asOf: { offset: 1_201 }, messages: 4 })
  const after = summaries(sent.slice(sent.indexOf(gap)))
  t.same(after, ['gap trimmed', 'state a 1', 'state m0 1199', 'state m1 1202', 'state m2 1201', 'b 1203'], 'progress that the snapshot contains does not follow it')
  t.match(metrics.gaps.read(), { trimmed: 1, overflow: 0 })
})

t.test('when the shared log has begun again, the client receives the endings since the first message that it was not sent', async (t) => {
  const cases: Array<[title: string, pending: number, expected: number]> = [
    ['that keeps up: since the last message before', 0, 50],
    ['with pending messages: since the first of them', 1, 1],
    ['that lags: since the first that it was not sent', 1_200, 1]
  ]
  for (const [title, pending, expected] of cases) {
    t.test(`a client ${title}, also if the log begins again before it has read that`, async (t) => {
      const { sent, outbox, plug, step, take, endingsAfter } = createStand()
      step('a')
      take()
      plug()
      for (let at = 0; at < pending; at++) step('b')
      take(0)
      outbox.restart('mission_update', { cause: 'epoch_changed', after: 50 })
      outbox.restart('mission_update', { cause: 'epoch_changed', after: 60 })
      take()
      t.equal(endingsAfter.at(-1), expected)
      t.strictSame(summaries(sent).filter((text) => text.startsWith('gap')), ['gap epoch_changed'])
    })
  }
})

t.test('replaceable messages have a limit too: beyond it the client receives the reliable messages and then a snapshot', async (t) => {
  const { sent, plug, step, progress, take, overflows } = createStand({ maxBytes: 5_000 })
  plug()
  step('a')
  for (let at = 0; at < 60; at++) progress(`m${at}`)
  take()
  t.equal(overflows(), 0)
  t.same(summaries(sent).slice(0, 4), ['plug', 'a 1', 'gap overflow', 'state a 1'])
  t.equal(new Set(sent.flatMap(({ id, payload }) => payload === undefined ? id ?? [] : payload.missionId ?? [])).size, 61)
})

t.test('a client that exceeds the limit with replaceable messages alone receives later reliable messages and a snapshot', async (t) => {
  const { sent, plug, step, progress, take } = createStand({ maxBytes: 5_000 })
  plug()
  for (let at = 0; at < 60; at++) progress(`m${at}`)
  take(0)
  step('a')
  take()
  t.same(summaries(sent).slice(0, 3), ['plug', 'a 61', 'gap overflow'])
  t.equal(summaries(sent).filter((text) => text === 'a 61').length, 1)
})

t.test('a client that already lags may lose replaceable messages too', async (t) => {
  const { sent, metrics, outbox, plug, step, progress, take } = createStand({ maxBytes: 5_000 })
  plug()
  for (let at = 0; at < 1_100; at++) step('a')
  take(0)
  t.ok(outbox.isLagging)
  for (let at = 0; at < 60; at++) progress(`m${at}`)
  take()
  t.equal(metrics.laggedTotal, 1)
  t.equal(summaries(sent).filter((text) => /^a \d/.test(text)).length, 1_100)
  t.equal(summaries(sent).filter((text) => text === 'gap overflow').length, 1)
})

t.test('a state of a snapshot is encoded once until it changes, and kept for five seconds after it was last needed', async (t) => {
  const clock = createVirtualClock()
  const payloads = ['a', 'b'].map((missionId) => ({ missionId, snapshot: true }))
  let forgotten = 0
  const channel = { name: 'mission_update', delivery: () => ({}), snapshot: () => [...payloads], forgetSnapshot: () => { forgotten++ } } as unknown as Channel
  const snapshots = new SnapshotCache({
    clock,
    envelope: new MessageEnvelope(clock, { name: 'x', version: '1' }),
    log: new MessageLog({ clock, options: { maxMessages: 10, maxBytes: 10_000, maxAgeMs: 1_000 } }),
    channel: () => channel,
    onGap () {}
  })
  const take = (filter?: SubscriptionFilter) => snapshots.snapshot('mission_update', { filter, endings: { newest: 0 } }).messages
  const [a, b] = take()
  t.strictSame(take(), [a, b])
  payloads[1] = { missionId: 'b', snapshot: true }
  const [, changed] = take()
  t.equal(take()[0], a)
  t.not(changed, b)
  clock.advance(4_999)
  snapshots.trim()
  t.equal(take()[1], changed)
  clock.advance(4_999)
  snapshots.trim()
  t.equal(take()[1], changed, 'it was needed meanwhile')
  t.equal(forgotten, 0)
  clock.advance(5_000)
  snapshots.trim()
  snapshots.trim()
  t.equal(forgotten, 1)
  t.not(take()[0], a)
})

t.test('snapshots that are sent within 20 ms share messages, unless a message would be older than a snapshot, or a receiver has it', async (t) => {
  let now = 1_000
  const clock = { ...createVirtualClock(), now: () => now }
  const envelope = new MessageEnvelope(clock, { name: 'größer', version: '1' })
  const copies = new SnapshotCopies(clock, envelope)
  const body = envelope.body({ missionId: 'a' }, { type: 'mission_update', channel: 'mission_update' })
  const [one, two, three, four, five] = Array.from({ length: 5 }, () => copies.begin({}))
  const first = copies.message(body, one!)
  t.match(JSON.parse(String(first.text)), { type: 'mission_update', unix: 1_000, timestamp: '1970-01-01T00:00:01.000Z', server: { name: 'größer', version: '1' }, payload: { missionId: 'a' } })
  now += 20
  t.equal(copies.message(body, two!), first)
  const again = copies.message(body, copies.begin(two!.receiver))
  t.match(JSON.parse(String(again.text)), { unix: 1_020 }, 'a later snapshot')
  t.not(again.id, first.id)
  t.equal(copies.message(body, three!), again, 'a message of the later snapshot is shared too')
  now += 21
  const next = copies.message(body, four!)
  t.match(JSON.parse(String(next.text)), { unix: 1_041 })
  t.not(copies.message(body, copies.begin(four!.receiver)).id, next.id)
  t.equal(copies.message(body, five!), next)
  now -= 10
  t.match(JSON.parse(String(copies.message(body, copies.begin({})).text)), { unix: 1_031 }, 'the wall clock was set back')
})

t.test('a client that takes no byte for 30 s is closed; one that takes a single byte is not', async (t) => {
  for (const takesByte of [false, true]) {
    const { clock, outbox, writer, metrics, plug, step, take, overflows } = createStand()
    plug()
    for (let at = 0; at < 1_100; at++) step('a')
    take(0)
    for (let second = 0; second <= 30; second++) {
      outbox.checkProgress(clock.monotonic() + 1)
      if (takesByte && second === 20) writer.bufferedBytes--
      clock.advance(1_000)
    }
    outbox.checkProgress(clock.monotonic() + 1)
    t.equal(overflows(), takesByte ? 0 : 1)
    t.ok(metrics.laggingMs >= 30_000)
  }
})

t.test('all pending messages, also those in the log, are written before the close frame, and none after it', async (t) => {
  const { sent, outbox, plug, reply, step, take, log } = createStand()
  plug()
  for (let at = 0; at < 1_100; at++) step('a')
  take(0)
  reply('draining')
  outbox.flushAll()
  outbox.close()
  step('late')
  take()
  t.equal(sent.length, 1_102)
  t.equal(log.head('mission_update'), 1_101)
})

t.test('in any order of events, reliable messages arrive once and in order or the client receives a gap, no state is followed by an older one, and in the end the client knows the state of the server', async () => {
  const id = fc.constantFrom('a', 'b', 'c', 'd')
  const bytes = fc.integer({ min: 20, max: 40_000 })
  const move = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('step' as const), id, bytes, times: fc.constantFrom(1, 1, 1, 40) }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('progress' as const), id, bytes, times: fc.constantFrom(1, 5) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reply' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('resubscribe' as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const), count: fc.integer({ min: 1, max: 5 }) }) }
  )
  fc.assert(fc.property(fc.array(move, { maxLength: 100 }), fc.constantFrom(5, 50, 10_000), (moves, maxMessages) => {
    const stand = createStand({ maxBytes: 100_000, maxMessages })
    for (const move of moves) {
      if (move.kind === 'step') for (let at = 0; at < move.times; at++) stand.step(move.id, move.bytes)
      else if (move.kind === 'progress') for (let at = 0; at < move.times; at++) stand.progress(move.id, move.bytes)
      else if (move.kind === 'reply') stand.reply('pong', 10)
      else if (move.kind === 'take') stand.take(move.count)
      else if (move.kind === 'tick') stand.scheduler.flush()
      else {
        stand.scheduler.flush()
        stand.outbox.dropChannel('mission_update')
        stand.subscriptions.set('mission_update', { sequence: stand.log.nextSequence, offset: stand.log.head('mission_update') + 1 })
        stand.outbox.send(new Message(JSON.stringify({ joined: stand.log.head('mission_update') + 1, states: [...stand.states] })))
      }
    }
    stand.take()
    return findStreamProblem(stand.sent, stand.states) === undefined
  }), { numRuns: 500 })
})

/** The first problem in the messages that a client received, or `undefined`. Uses only what is on the wire. */
function findStreamProblem (sent: any[], states: ReadonlyMap<string, number>): string | undefined {
  let next = 1
  const seen = new Map<string, number>()
  for (const { joined, states: snapshot, offset, id, seq, type, payload } of sent) {
    if (joined !== undefined) {
      next = joined
      seen.clear()
      for (const [known, at] of snapshot) seen.set(known, at)
    } else if (type === 'subscription_gap' && payload.range !== undefined) {
      if (payload.range.from !== next) return `gap from ${payload.range.from} instead of ${next}`
      next = payload.range.to + 1
    } else if (offset !== undefined) {
      if (offset !== next) return `offset ${offset} instead of ${next}`
      next = offset + 1
    }
    const [key, at] = payload === undefined ? [id, seq] : [payload.missionId, payload.seq]
    if (key === undefined) continue
    if ((seen.get(key) ?? 0) > at) return `${key} ${at} after ${seen.get(key)}`
    seen.set(key, at)
  }
  for (const [key, at] of states) if (seen.get(key) !== at) return `${key} is ${at}, not ${seen.get(key)}`
  return undefined
}

const PLAN = { text: 'x'.repeat(30_000) }

/** More than the kernel buffers for one connection on both sides. */
const MORE_THAN_KERNEL_BYTES = 16_000_000

/** Starts a mission with a large plan, and waits until a client that reads has received it. */
async function publishPlan (app: FastifyInstance, reader: Client, at: number): Promise<string> {
  const { id } = app.missions.start({ id: `mission ${at}`, name: 'job' })
  app.missions.report(id, 'planned', { planningSession: PLAN })
  await reader.next('mission_update', ({ payload }) => payload.missionId === id && payload.status === 'planned')
  return id
}

/** Publishes so many plans that a client which does not read has pending messages in the server. */
async function publishPlans (app: FastifyInstance, reader: Client): Promise<string[]> {
  const ids: string[] = []
  while (ids.length * PLAN.text.length < MORE_THAN_KERNEL_BYTES) ids.push(await publishPlan(app, reader, ids.length))
  return ids
}

async function freezeOne (app: FastifyInstance, ...channels: string[]): Promise<RawClient> {
  const client = await RawClient.connect(app)
  client.send({ type: 'subscribe', channels })
  for (let acks = 0; acks < channels.length; acks++) await client.next('subscription_ack')
  return client.freeze()
}

const closedFor = async (app: FastifyInstance, reason: string): Promise<number> => {
  const { body } = await app.missionControl.metrics.render()
  return Number(new RegExp(`^mission_control_.*closed.*reason="${reason}".* (\\d+)$`, 'm').exec(body)![1])
}

/** Waits until a matching message has arrived. */
async function arrived (client: RawClient, fits: (message: Record<string, any>) => boolean): Promise<void> {
  while (!client.received.some(({ json }) => json !== undefined && fits(json))) await new Promise((resolve) => setImmediate(resolve))
}

/** The ids of planned missions, in the order of their updates. */
const plannedIn = (client: { received: ReadonlyArray<{ json?: Record<string, any> | undefined }> }): string[] =>
  client.received.flatMap(({ json }) => json?.['type'] === 'mission_update' && json['payload'].status === 'planned' ? [json['payload'].missionId as string] : [])

t.test('a client that does not read for 30 s is closed, after it has received the first messages in order; the others receive everything', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000 } })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const thawed = await freezeOne(app, 'mission_update')
  const cut = await freezeOne(app, 'mission_update')
  const planned = await publishPlans(app, healthy)
  for (let second = 0; second < 29; second++) clock.advance(1_000)
  t.equal(await closedFor(app, 'slow_consumer'), 0)
  for (let second = 0; second < 3; second++) clock.advance(1_000)
  t.equal(await closedFor(app, 'slow_consumer'), 2)
  t.equal(app.missionControl.wsMetrics().connectionsOpen, 3, 'they still have time to answer the close frame')

  thawed.thaw()
  t.same(await thawed.ended, { code: 1013, reason: 'slow_consumer' })
  clock.advance(2_000)
  await healthy.settle()
  t.equal(app.missionControl.wsMetrics().connectionsOpen, 1, 'one that does not read the close frame either is terminated')
  cut.thaw()
  t.equal((await cut.ended).code, undefined)

  app.missions.start('last')
  t.equal((await healthy.next('mission_update', ({ payload }) => payload.name === 'last')).payload.status, 'planning_started')
  for (const client of [thawed, cut]) {
    const received = plannedIn(client)
    t.ok(received.length > 0 && received.length < planned.length)
    t.same(received, planned.slice(0, received.length), 'no gap and no duplicate')
  }
  const updates = healthy.received.filter(({ type }) => type === 'mission_update')
  t.equal(updates.length, 2 * planned.length + 1)
  t.equal(app.missionControl.wsMetrics().channels.find(({ channel }) => channel === 'mission_update')!.count, 1)
})

t.test('a client that reads again after the log was trimmed receives a gap and the current state of every mission', async (t) => {
  const app = await boot(t, { websocket: { history: { maxMessages: 50 } } })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const slow = await freezeOne(app, 'mission_update')
  const planned = await publishPlans(app, healthy)
  const ended = app.missions.start({ id: 'ended', name: 'job', objective: 'none', metadata: { a: 1 } })
  ended.child('part').waiting('for rain')
  app.missions.get(planned[0]!)!.progress({ taskId: 'a', index: 1, total: 2, status: 'done' })
  app.missions.get(planned[1]!)!.cancel()
  ended.fail(new Error('broken'))
  slow.thaw()
  const after = await slow.next('subscription_gap') as any
  t.match(after.payload, { channel: 'mission_update', cause: 'trimmed' })
  await arrived(slow, ({ payload }) => payload?.missionId === 'ended' && payload.status === 'error')
  const states = new Map<string, any>()
  for (const { json } of slow.received) if (json?.['type'] === 'mission_update') states.set(json['payload'].missionId, json['payload'])
  for (const view of app.missions.list({ limit: 200 }).missions) {
    const state = states.get(view.id)
    t.same([state.status, state.seq, state.progress ?? null, state.error ?? null, state.errorCode ?? null, state.waiting ?? null, state.parentId ?? null], [view.status, view.seq, view.progress, view.error?.message ?? null, view.error?.code ?? null, view.waiting, view.parentId])
  }
})

t.test('the snapshot after a gap has new ids and the time at which it is sent', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000, history: { maxMessages: 50 } } })
  app.missions.start({ id: 'first', name: 'job' })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const slow = [await freezeOne(app, 'mission_update'), await freezeOne(app, 'mission_update')]
  await publishPlans(app, healthy)
  for (const client of slow) {
    clock.advance(5_000)
    client.thaw()
    const gap = await client.next('subscription_gap')
    t.equal(gap['unix'], clock.now())
    const at = client.received.findIndex(({ json }) => json === gap)
    const snapshot = () => client.received.slice(at + 1).flatMap(({ json }) => json?.['payload'].snapshot === true ? [json] : [])
    while (snapshot().length < gap['payload'].messages) await new Promise((resolve) => setImmediate(resolve))
    t.ok(snapshot().every((message) => message['unix'] === clock.now()))
    const ids = client.received.flatMap(({ json }) => json?.['id'] as string)
    t.equal(new Set(ids).size, ids.length)
    t.equal(client.received.filter(({ json }) => json?.['payload'].missionId === 'first').length, 2, 'before and after the gap')
  }
})

t.test('a client that reads again in time receives every reliable message and the newest replaceable ones', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, channels: { missionStatsMs: 1_000 } })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const slow = await freezeOne(app, 'mission_update', 'mission_stats', 'metrics_tick')
  const planned = await publishPlans(app, healthy)

  const [running, ended] = [app.missions.start({ id: 'running', name: 'job' }), app.missions.start({ id: 'ended', name: 'job' })]
  for (let index = 1; index <= 500; index++) {
    running.progress({ taskId: 'rows', index, total: 500, status: 'done' })
    ended.progress({ taskId: 'rows', index, total: 500, status: 'done' })
  }
  ended.complete()
  for (let round = 0; round < 10; round++) clock.advance(1_000)
  await healthy.settle()
  slow.thaw()
  await arrived(slow, ({ type, payload }) => type === 'mission_stats' && payload.total === planned.length + 2)

  t.same(plannedIn(slow), planned)
  const updates = (id: string) => slow.received.flatMap(({ json }) => json?.['payload']?.missionId === id ? [json['payload']] : [])
  t.same(updates('running').map(({ status, progress }) => [status, progress?.index]), [['planning_started', undefined], ['execution_progress', 1], ['execution_progress', 500]], 'a change of the status is reliable')
  t.same(updates('ended').map(({ status }) => status), ['planning_started', 'execution_progress', 'completed'], 'the end supersedes further progress')
  const stats = slow.received.flatMap(({ json }) => json?.['type'] === 'mission_stats' ? [json['payload']] : [])
  t.same(stats.map(({ total }) => total), [0, planned.length + 2], 'the snapshot, and one message for the ten rounds')
  t.equal(healthy.received.filter((message) => message.type === 'mission_update' && message.payload.missionId === 'running').length, 3, 'a client that keeps up receives the start, the first progress and the last')
})

t.test('no message of a channel follows the ack of its unsubscribe, not even one that was pending', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, channels: { missionStatsMs: 1_000 } })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const slow = await freezeOne(app, 'mission_update', 'mission_stats')
  await publishPlans(app, healthy)
  app.missions.start({ id: 'running', name: 'job' }).progress({ taskId: 'rows', index: 1, total: 2, status: 'done' })
  clock.advance(1_000)
  const isSubscribed = () => app.missionControl.wsMetrics().channels.some(({ channel, count }) => channel === 'mission_stats' && count > 0)
  slow.send({ type: 'unsubscribe', channels: ['mission_stats', 'mission_update'] })
  while (isSubscribed()) await healthy.settle()
  slow.thaw().send({ type: 'ping' })
  await slow.next('pong')
  const types = slow.types
  t.same(types.slice(types.lastIndexOf('mission_update') + 1), ['subscription_ack', 'subscription_ack', 'pong'])
  t.equal(types.filter((type) => type === 'mission_stats').length, 1, 'only the snapshot')
})

type Register = (app: FastifyInstance, options: MissionControlOptions) => unknown

const ORDERS: Record<string, Register> = {
  'a WebSocket server of its own': (app, options) => app.register(missionControl, closingSoon(options)),
  '@fastify/websocket registered before it': (app, options) => app.register(websocket).register(missionControl, closingSoon(options)),
  '@fastify/websocket registered after it': (app, options) => app.register(missionControl, closingSoon(options)).register(websocket)
}

for (const [title, register] of Object.entries(ORDERS)) {
  // Far below the 30 s that the WebSocket library itself waits for a silent peer.
  t.test(`with ${title}, the service closes even if clients do not read their pending messages`, { timeout: 20_000 }, async (t) => {
    const clock = createVirtualClock()
    const app = Fastify()
    t.teardown(() => app.close())
    await register(app, { clock })
    const [reader, live] = [await connect(app), await connect(app)]
    await reader.subscribe('mission_update')
    await live.subscribe('mission_update')
    const frozen = [await freezeOne(app, 'mission_update'), await freezeOne(app, 'mission_update'), await freezeOne(app, 'mission_stats')]
    const planned = await publishPlans(app, reader)
    await live.settle()

    for (let at = 0; at < 400; at++) app.missions.report(`late ${at}`, 'planned', { planningSession: PLAN })
    const closing = app.close()
    for (const client of [reader, live]) t.same(await client.closed, { code: 1012, reason: 'server_restart' })
    const late = live.received.filter((message) => message.type === 'mission_update' && message.payload.missionId.startsWith('late') && message.payload.status === 'planned' && message.payload.cancel === undefined)
    t.equal(late.length, 400, 'the close frame comes after all earlier messages')
    while (app.missionControl.wsMetrics().connectionsOpen > 3) await new Promise((resolve) => setImmediate(resolve))
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 3, 'only the clients that do not answer are left')
    clock.advance(2_000)
    await closing
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 0)
    for (const client of frozen) client.thaw()
    await Promise.all(frozen.map((client) => client.ended))
    t.same(plannedIn(frozen[0]!), planned.slice(0, plannedIn(frozen[0]!).length))
  })
}

t.test('a client with a large catch-up', async (t) => {
  const many = Array.from({ length: 600 }, (_, at) => new MessageBody(`"reply":"state ${at}"}`, { type: 'mission_update', channel: 'mission_update' }))
  const catchUp = (stand: ReturnType<typeof createStand>) => ({ start: { sequence: stand.log.nextSequence, offset: 1 }, firstMissingOffset: 1, snapshot: many })

  t.test('receives all of it at the pace of its socket, whether or not messages are already pending', async (t) => {
    for (const isPending of [false, true]) {
      const stand = createStand()
      if (isPending) stand.plug()
      stand.outbox.catchUp('mission_update', catchUp(stand))
      t.ok(stand.outbox.hasBackpressure)
      stand.step('a')
      stand.take()
      t.same(summaries(stand.sent).filter((text) => text !== 'plug'), [...many.map((_, at) => `state ${at}`), 'a 1'])
      t.notOk(stand.outbox.hasBackpressure)
    }
  })

  t.test('receives nothing once its connection is closed', async (t) => {
    const stand = createStand()
    stand.outbox.close()
    stand.outbox.catchUp('mission_update', catchUp(stand))
    stand.take()
    t.same([stand.sent, stand.outbox.hasBackpressure, stand.overflows()], [[], false, 0])
  })
})

t.test('collected messages of a channel are written before the channel is left, so that they cannot mix with those of a new subscription', async (t) => {
  const { sent, step, reply, outbox } = createStand()
  step('a')
  reply('pong')
  outbox.dropChannel('health_delta')
  t.same(sent, [], 'no message of another channel is collected')
  outbox.dropChannel('mission_update')
  t.same(summaries(sent), ['a 1', 'pong'])
})
