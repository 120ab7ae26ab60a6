import fc from 'fast-check'
import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import type { Channel, Publish } from '../lib/hub/channel.js'
import type { Writable } from '../lib/hub/delivery/batch.js'
import { Hub } from '../lib/hub/hub.js'
import type { SocketEvents } from '../lib/hub/socket-events.js'
import type { Message } from '../lib/hub/wire/message.js'
import { HIGH_WATER_BYTES } from '../lib/hub/delivery/outbox.js'
import { resolveOptions } from '../lib/base/options.js'
import { openAccess } from './support/access.js'
import { missionChecksum, type Cursor } from '../schemas/index.js'

const LOGGED = ['mission_update', 'health_delta', 'anomaly_alert'] as const
type Name = (typeof LOGGED)[number]

interface Update { missionId: string, seq: number, status: string, pad?: string, snapshot?: true }

/** Every reliable update that a channel has published, by offset. */
type History = Map<number, Update>

const nextTick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A small channel of missions: reliable steps, replaceable progress, and endings. */
class Source {
  readonly channel: Channel
  readonly history: History = new Map()
  readonly states = new Map<string, Update>()
  readonly ended: Array<{ update: Update, offset: number | undefined }> = []
  #publish: Publish<'mission_update'> | undefined
  #seq = 0
  readonly #snapshots = new WeakMap<Update, Update>()

  constructor (readonly name: Name) {
    this.channel = {
      name,
      delivery (payload: unknown) {
        const update = payload as Update
        return { attributes: update, ...(update.status === 'progress' ? { key: update.missionId } : { supersedes: update.missionId }) }
      },
      start: (publish: never, head: number) => {
        this.#publish = publish
        for (const ending of this.ended) ending.offset ??= head
      },
      stop: () => { this.#publish = undefined },
      snapshot: () => [...this.states.values()].map((update) => this.#snapshotOf(update)) as never,
      endings: ({ after = Infinity }: { after?: number }, upTo: number) => this.ended.filter(({ offset }) => offset! > after && offset! <= upTo).map(({ update }) => update) as never,
      fits: (attributes: object, { missionIds }: { missionIds?: string[] }) => missionIds!.includes((attributes as Update).missionId),
      checksumEntry: (attributes: object) => (attributes as Update).status === 'ended' ? undefined : attributes as Update
    } as unknown as Channel
  }

  // The same object until the next update.
  #snapshotOf (update: Update): Update {
    const known = this.#snapshots.get(update) ?? { ...update, snapshot: true }
    this.#snapshots.set(update, known)
    return known
  }

  publish (missionId: string, status: string, bytes: number): void {
    const update: Update = { missionId, seq: ++this.#seq, status, pad: 'x'.repeat(bytes) }
    if (status === 'ended') this.states.delete(missionId)
    else this.states.set(missionId, update)
    const offset = this.#publish?.(update as never)
    if (offset !== undefined) this.history.set(offset, update)
    if (status === 'ended') this.ended.push({ update: { ...update, snapshot: true }, offset })
  }
}

/** What a client knows of one channel, from the protocol alone. `left` counts the announced messages that are still to come. */
interface Track { filter: string[] | undefined, next: number, left: number, cursor: Cursor, known: Map<string, number>, fresh: Map<string, number> | undefined, checksum: string | undefined }

/** A client that checks everything it receives against what was published. */
class Reader {
  readonly problems: string[] = []
  readonly tracks = new Map<string, Track>()
  /** What it remembers of a channel after it left. */
  readonly remembered = new Map<string, Pick<Track, 'cursor' | 'known' | 'filter'>>()
  bufferedBytes = 0
  #input: SocketEvents | undefined
  #pending: Array<{ texts: string[], bytes: number }> = []
  #isFrozen = false
  // By message id, since an ack may come much later.
  readonly #requests = new Map<string, { remembered: Reader['remembered'], since: Record<string, Cursor | undefined>, filter: string[] | undefined, heads: ReadonlyMap<string, number> }>()
  // Of this connection: the ids that it has received, and the cursors that it has sent per channel.
  #ids = new Set<string>()
  #cursors = new Map<string, number[]>()

  constructor (readonly hub: Hub, readonly sources: ReadonlyMap<string, Source>) {}

  open (): void {
    if (this.#input !== undefined) return
    const read = (): number => this.bufferedBytes
    this.#input = this.hub.connect({
      get bufferedBytes () { return read() },
      write: (batch: Writable) => read() >= HIGH_WATER_BYTES ? -1 : this.#take(batch.messages()),
      writeAll: (messages: readonly Message[]) => this.#take(messages),
      ping: () => this.#input!.pong(),
      close: () => this.close(),
      terminate: () => this.close()
    }, {})
  }

  close (): void {
    this.#input?.closed()
    this.#input = undefined
    for (const name of this.tracks.keys()) this.#leave(name)
    this.#pending = []
    this.bufferedBytes = 0
    this.#ids = new Set()
    this.#cursors = new Map()
  }

  #leave (name: string): void {
    const track = this.tracks.get(name)
    if (track?.left === 0) this.remembered.set(name, track)
    this.tracks.delete(name)
  }

  /** Subscribes anew; with `isResumed`, from the last cursor of each channel. */
  subscribe (names: readonly Name[], { filter, isResumed, snapshot }: { filter: string[] | undefined, isResumed: boolean, snapshot: boolean }): void {
    if (this.#input === undefined || this.#isFrozen) return
    const remembered = new Map(names.flatMap((name) => {
      const track = this.tracks.get(name)
      const memory = track?.left === 0 ? track : this.remembered.get(name)
      return isResumed && memory !== undefined ? [[name as string, { ...memory, known: new Map(memory.known) }]] : []
    }))
    // A subscribe with the same filter would not be a new subscription.
    for (const name of names) if (this.tracks.has(name)) this.#input.message(Buffer.from(JSON.stringify({ type: 'unsubscribe', channels: [name] })))
    const since = Object.fromEntries(names.map((name) => [name, remembered.get(name)?.cursor]))
    // A client that resumes uses its former filter.
    const lastFilter = remembered.has('mission_update') ? remembered.get('mission_update')!.filter : filter
    const missionIds = names.includes('mission_update') ? lastFilter : undefined
    const id = String(this.#requests.size)
    this.#requests.set(id, { remembered, since, filter: missionIds, heads: new Map(names.map((name) => [name, Math.max(0, ...this.sources.get(name)!.history.keys())])) })
    for (const name of names) if (since[name] !== undefined) this.#cursors.set(name, [...this.#cursors.get(name) ?? [], since[name].offset])
    this.#input.message(Buffer.from(JSON.stringify({ type: 'subscribe', id, channels: names, since, snapshot, ...(missionIds && { filter: { missionIds } }) })))
  }

  unsubscribe (name: Name): void {
    if (!this.#isFrozen) this.#input?.message(Buffer.from(JSON.stringify({ type: 'unsubscribe', channels: [name] })))
  }

  freeze (isFrozen: boolean): void {
    this.#isFrozen = isFrozen
    this.take(Infinity)
  }

  /** Reads up to this many of the writes. */
  take (writes: number): void {
    for (let taken = 0; taken < writes && !this.#isFrozen; taken++) {
      const next = this.#pending.shift()
      if (next === undefined) return
      this.bufferedBytes -= next.bytes
      for (const text of next.texts) this.#read(JSON.parse(text))
      this.#input?.drained()
    }
  }

  #take (messages: readonly Message[]): number {
    const bytes = messages.reduce((sum, message) => sum + message.bytes, 0)
    this.bufferedBytes += bytes
    this.#pending.push({ texts: messages.map(({ text }) => String(text)), bytes })
    return bytes
  }

  #read (message: any): void {
    const { type, payload, id, position } = message
    // Only a client that sends a cursor may receive a message again.
    const isRequested = position !== undefined && this.#cursors.get(type)?.some((offset) => offset < position.offset) === true
    if (this.#ids.has(id) && !isRequested) this.problems.push(`${type} ${id} a second time`)
    this.#ids.add(id)
    if (type === 'subscription_ack') this.#acknowledged(payload, message.replyTo)
    else if (type === 'subscription_gap') this.#gap(payload)
    else if (type === 'heartbeat') this.#beat(message.heads ?? {})
    else if (this.sources.has(type)) this.#updated(type, message)
    else this.problems.push(`a ${type}: ${JSON.stringify(message.error)}`)
  }

  #complain (problem: string): void {
    this.problems.push(problem)
  }

  #acknowledged ({ channel, status, outcome, asOf, messages, gap }: any, replyTo: string): void {
    if (status === 'unsubscribed') {
      this.#leave(channel)
      return
    }
    const request = this.#requests.get(replyTo)!
    const since = request.since[channel]
    if ((since === undefined) !== (outcome === 'fresh')) this.problems.push(`${outcome} with the cursor ${since?.offset}`)
    if (gap?.range !== undefined && (gap.range.from !== since!.offset + 1 || gap.range.to !== asOf.offset)) this.problems.push(`a range ${gap.range.from} to ${gap.range.to} after ${since!.offset}`)
    if (asOf.offset < request.heads.get(channel)!) this.problems.push(`${channel}: a snapshot as of ${asOf.offset} at ${request.heads.get(channel)}`)
    const isResumed = outcome === 'resumed'
    this.tracks.set(channel, {
      filter: channel === 'mission_update' ? request.filter : undefined,
      next: isResumed ? since!.offset + 1 : asOf.offset + 1,
      left: messages,
      cursor: { epoch: asOf.epoch, offset: asOf.offset, id: asOf.id },
      known: isResumed ? new Map(request.remembered.get(channel)!.known) : new Map(),
      fresh: isResumed ? undefined : new Map(),
      checksum: isResumed ? undefined : asOf.checksum
    })
    if (messages === 0) this.#complete(this.tracks.get(channel)!, channel)
  }

  #gap ({ channel, cause, range, asOf, messages }: any): void {
    const track = this.tracks.get(channel)
    if (track === undefined) return this.#complain(`a gap of ${channel} without a subscription`)
    if (cause === 'trimmed') {
      this.#checkSkipped(channel, track, range.from)
      if (track.filter === undefined && range.from !== Math.max(1, track.next) && track.fresh === undefined) this.problems.push(`${channel}: a gap from ${range.from} instead of ${track.next}`)
      track.next = asOf.offset + 1
      track.cursor = { epoch: asOf.epoch, offset: asOf.offset, id: asOf.id }
    }
    Object.assign(track, { left: messages, fresh: new Map(), checksum: asOf.checksum })
    if (messages === 0) this.#complete(track, channel)
  }

  #updated (name: string, { payload, position, id }: { payload: Update, position?: { epoch: string, offset: number }, id: string }): void {
    const track = this.tracks.get(name)
    if (track === undefined) return this.#complain(`${name} ${payload.missionId} without a subscription`)
    if (track.filter?.includes(payload.missionId) === false) this.problems.push(`${payload.missionId} does not match the filter`)
    if (position !== undefined) this.#checkPosition(name, track, payload, { ...position, id })
    const { known, fresh } = track
    const into = payload.snapshot === true && fresh !== undefined ? fresh : known
    const before = into.get(payload.missionId) ?? 0
    // A snapshot may come before replayed messages that it already contains.
    const isOlder = payload.snapshot !== true && payload.seq < before && position === undefined
    if (isOlder) this.problems.push(`${name} ${payload.missionId}: ${payload.seq} after ${before}`)
    into.set(payload.missionId, Math.max(before, payload.seq))
    if (track.left > 0 && --track.left === 0) this.#complete(track, name)
  }

  #checkPosition (name: string, track: Track, payload: Update, cursor: Cursor): void {
    const published = this.sources.get(name)!.history.get(cursor.offset)
    if (published?.seq !== payload.seq) this.problems.push(`${name} ${cursor.offset} is ${payload.seq} instead of ${published?.seq}`)
    if (cursor.offset < track.next) this.problems.push(`${name} ${cursor.offset} came instead of ${track.next}`)
    this.#checkSkipped(name, track, cursor.offset)
    track.next = cursor.offset + 1
    track.cursor = cursor
  }

  // No update that matches the filter lies between the last message and this one.
  #checkSkipped (name: string, { next, filter }: Track, to: number): void {
    const { history } = this.sources.get(name)!
    for (let offset = next; offset < to; offset++) {
      const published = history.get(offset)
      if (published !== undefined && (filter?.includes(published.missionId) ?? true)) this.problems.push(`${name} ${offset} was skipped`)
    }
  }

  #complete (track: Track, name: string): void {
    if (track.fresh === undefined) return
    const states = [...track.fresh.keys()].filter((id) => !this.sources.get(name)!.ended.some(({ update }) => update.missionId === id && update.seq === track.fresh!.get(id)))
    track.known = track.fresh
    track.fresh = undefined
    if (track.checksum === undefined) return
    const { checksum } = track
    if (!checksum.startsWith(`${states.length}-`)) this.problems.push(`${name}: the checksum ${checksum} of ${states.length} missions`)
  }

  #beat (heads: Record<string, Cursor>): void {
    for (const [name, { offset }] of Object.entries(heads)) {
      const track = this.tracks.get(name)
      // A heartbeat that was pending may be older than the subscription.
      if (track?.left === 0) this.#checkSkipped(name, track, offset + 1)
    }
  }

  /** All problems, once everything has arrived. */
  findProblems (): string[] {
    const missing: string[] = []
    for (const [name, { known, left, filter }] of this.tracks) {
      if (left > 0) missing.push(`${name}: ${left} announced messages did not arrive`)
      for (const [id, { seq }] of this.sources.get(name)!.states) {
        if ((filter?.includes(id) ?? true) && known.get(id) !== seq && !(seq < (known.get(id) ?? 0))) missing.push(`${name}: ${id} is ${seq}, not ${known.get(id)}`)
      }
    }
    return [...this.problems, ...missing]
  }
}

/** A failed scenario to repeat. */
const SEED = process.env['DELIVERY_SEED'] === undefined ? {} : { seed: Number(process.env['DELIVERY_SEED']), path: process.env['DELIVERY_PATH'] ?? '' }

type Move =
  | { kind: 'publish', channel: Name, id: string, status: 'step' | 'progress' | 'ended', bytes: number, times: number }
  | { kind: 'subscribe', reader: number, channels: Name[], filter: string[] | undefined, isResumed: boolean, snapshot: boolean }
  | { kind: 'unsubscribe' | 'freeze' | 'thaw' | 'close' | 'open', reader: number, channel: Name }
  | { kind: 'take', reader: number, writes: number }
  | { kind: 'tick' }
  | { kind: 'wait', ms: number }

const publish = (channel: Name, bytes: number, times = 1): Move => ({ kind: 'publish', channel, id: 'a', status: 'step', bytes, times })
const subscribe = (reader: number, channel: Name): Move => ({ kind: 'subscribe', reader, channels: [channel], filter: undefined, isResumed: false, snapshot: false })

const unsubscribe = (reader: number): Move => ({ kind: 'unsubscribe', reader, channel: 'mission_update' })

/** Scenarios that failed once. */
const REGRESSIONS: Array<[Move[], { maxMessages: number, maxAgeMs: number }]> = [
  // The log was trimmed a second time just after the snapshot of the first gap was sent.
  [[
    publish('mission_update', 30_000), subscribe(1, 'mission_update'), subscribe(1, 'health_delta'), publish('health_delta', 30_000, 60),
    { kind: 'publish', channel: 'mission_update', id: 'd', status: 'step', bytes: 30_000, times: 60 }, subscribe(0, 'mission_update'), { kind: 'take', reader: 1, writes: 1 },
    publish('mission_update', 10), publish('health_delta', 10, 12), subscribe(0, 'mission_update'), { kind: 'tick' }, unsubscribe(0), { kind: 'take', reader: 0, writes: 1 },
    { kind: 'take', reader: 0, writes: 1 }, unsubscribe(0), unsubscribe(0), subscribe(0, 'mission_update'), { kind: 'take', reader: 0, writes: 1 }, publish('mission_update', 10),
    subscribe(0, 'mission_update'), unsubscribe(0), subscribe(0, 'mission_update'), { kind: 'wait', ms: 500 }
  ], { maxMessages: 5, maxAgeMs: 10_000 }]
]

async function play (moves: readonly Move[], log: { maxMessages: number, maxAgeMs: number }): Promise<string[]> {
  const clock = createVirtualClock()
  const sources = new Map(LOGGED.map((name) => [name, new Source(name)]))
  const failures: string[] = []
  const hub = new Hub({
    clock,
    server: { name: 'x', version: '1' },
    options: { ...resolveOptions({ websocket: { history: log } }, {}).websocket, maxMessagesPerSecond: 100_000 },
    createChannels: () => [...sources.values()].map(({ channel }) => channel),
    access: openAccess(clock),
    commands: {} as never,
    alertHistory: () => [],
    findMission: () => undefined,
    listMissions: () => ({ missions: [], nextCursor: null }),
    onCallbackError: (where, err) => { failures.push(`${where}: ${String((err as Error).stack)}`) }
  })
  const readers = [0, 1].map(() => new Reader(hub, sources))
  for (const reader of readers) reader.open()
  for (const move of moves) {
    if (move.kind === 'publish') for (let at = 0; at < move.times; at++) sources.get(move.channel)!.publish(move.status === 'ended' ? `${move.id}${Math.random()}` : move.id, move.status, move.bytes)
    else if (move.kind === 'tick') await nextTick()
    else if (move.kind === 'wait') clock.advance(move.ms)
    else {
      const reader = readers[move.reader]!
      if (move.kind === 'take') reader.take(move.writes)
      else if (move.kind === 'subscribe') {
        await settle(reader)
        reader.subscribe(move.channels, move)
        await settle(reader)
      } else if (move.kind === 'unsubscribe') reader.unsubscribe(move.channel)
      else if (move.kind === 'freeze' || move.kind === 'thaw') reader.freeze(move.kind === 'freeze')
      else reader[move.kind]()
    }
  }
  for (const reader of readers) reader.freeze(false)
  for (let rounds = 0; rounds < 200; rounds++) {
    await nextTick()
    for (const reader of readers) reader.take(Infinity)
  }
  const problems = readers.flatMap((reader, at) => reader.findProblems().map((problem) => `reader ${at}: ${problem}`))
  for (const reader of readers) reader.close()
  await hub.close()
  return [...failures, ...problems]
}

// A reply overtakes pending messages, but not those that were already written.
async function settle (reader: Reader): Promise<void> {
  for (let rounds = 0; rounds < 2; rounds++) {
    await nextTick()
    reader.take(1)
  }
}

t.test('on any number of channels, each client receives reliable messages once and in order or a gap, no state is followed by an older one, and in the end it knows the state of the service', { timeout: 120_000 }, async (t) => {
  const channel = fc.constantFrom(...LOGGED)
  const reader = fc.nat(1)
  const id = fc.constantFrom('a', 'b', 'c', 'd')
  const move: fc.Arbitrary<Move> = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('publish' as const), channel, id, status: fc.constantFrom('step' as const, 'step' as const, 'progress' as const, 'ended' as const), bytes: fc.constantFrom(10, 1_000, 30_000), times: fc.constantFrom(1, 1, 2, 12, 60) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('subscribe' as const), reader, channels: fc.uniqueArray(channel, { minLength: 1 }), filter: fc.constantFrom<Array<string[] | undefined>>(undefined, undefined, ['a', 'b']), isResumed: fc.boolean(), snapshot: fc.constantFrom(false, false, true) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('unsubscribe' as const, 'freeze' as const, 'freeze' as const, 'thaw' as const, 'close' as const, 'open' as const, 'open' as const), reader, channel }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const), reader, writes: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(500, 6_000, 12_000) }) }
  )
  const log = fc.record({ maxMessages: fc.constantFrom(5, 50, 10_000), maxAgeMs: fc.constantFrom(10_000, 900_000) })
  const { failed, counterexample, numRuns, seed, counterexamplePath } = await fc.check(fc.asyncProperty(fc.array(move, { minLength: 20, maxLength: 80 }), log, async (moves, bounds) => (await play(moves, bounds)).length === 0), { numRuns: Number(process.env['DELIVERY_RUNS'] ?? 400), examples: REGRESSIONS, ...SEED })
  const report = failed ? [...await play(...counterexample!), JSON.stringify(counterexample), `repeat with DELIVERY_SEED=${seed} DELIVERY_PATH=${counterexamplePath}`] : []
  t.strictSame(report, [], `${numRuns} scenarios`)
})

t.test('the checksum of a snapshot is that of its missions', async (t) => {
  const source = new Source('mission_update')
  source.publish('a', 'step', 1)
  source.publish('b', 'ended', 1)
  t.equal(missionChecksum(source.channel.snapshot() as never), missionChecksum([{ missionId: 'a', status: 'step' }]))
})
