import { createMissionUpdateChannel } from '../../lib/channels/mission-update.js'
import { createMissionStatsChannel } from '../../lib/channels/mission-stats.js'
import { connect, type SocketEvent, type SocketLike } from '../../lib/client/index.js'
import { createVirtualClock, type VirtualClock } from '../../lib/base/virtual-clock.js'
import type { Channel } from '../../lib/hub/channel.js'
import type { Writable } from '../../lib/hub/delivery/batch.js'
import { Hub } from '../../lib/hub/hub.js'
import { HIGH_WATER_BYTES } from '../../lib/hub/delivery/outbox.js'
import type { Message } from '../../lib/hub/wire/message.js'
import {
  createMissionLookup, createMissions, Endings, MissionRegistry, toUpdate, type Mission, type Missions
} from '../../lib/missions/index.js'
import { resolveOptions } from '../../lib/base/options.js'
import { openAccess } from './access.js'
import { MISSION_STATUSES, TERMINAL_STATUSES, type MissionStatus, type MissionUpdate, type OptionsInput, type StreamPosition, type SubscriptionFilter } from '../../schemas/index.js'

const TERMINAL = new Set<string>(TERMINAL_STATUSES)

/** Returns a generator of numbers from 0 to below 1 that depends on the seed only (mulberry32). */
export function createRandom (seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Chance {
  (): number
  pick: <T>(list: readonly T[]) => T
  upTo: (max: number) => number
}

function createChance (seed: number): Chance {
  const random = createRandom(seed)
  return Object.assign(() => random(), {
    pick: <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!,
    upTo: (max: number): number => Math.floor(random() * (max + 1))
  })
}

/** A mission that has ended, and the offset of its last message; without a subscriber, the offset is known at the next subscription. */
interface Ended { id: string, name: string, tags: readonly string[], statuses: Array<MissionStatus | undefined>, offset: number | undefined }

const ENDINGS_KEPT = { max: 10_000, maxAgeMs: 86_400_000 }

/** A service: a registry and a hub. A restart replaces both. */
class Service {
  readonly ended: Ended[] = []
  readonly registry: MissionRegistry
  readonly missions: Missions
  readonly hub: Hub
  readonly clock: VirtualClock

  constructor (clock: VirtualClock, options: OptionsInput) {
    const { websocket, missions, server } = resolveOptions(options, {})
    this.clock = clock
    const onCallbackError = (where: string, err: unknown): void => { throw new Error(`a callback failed in ${where}`, { cause: err }) }
    this.registry = new MissionRegistry({ clock, options: missions, onCallbackError, endedIds: ENDINGS_KEPT, onUntracked: () => {}, makeLog: () => { throw new Error('no mission writes to its log') } })
    this.missions = createMissions(this.registry)
    const endings = new Endings({ clock, ...ENDINGS_KEPT, keepsSubjects: false })
    this.registry.updates.onEnded((mission, update) => endings.put(mission, update))
    const ended = endings.of()
    const updates = createMissionUpdateChannel({
      clock,
      feed: this.registry.queries.feed,
      toSnapshot: (mission) => toUpdate(mission),
      endings: () => ended
    })
    let lastPublished: { id: string, offset: number | undefined } | undefined
    this.registry.updates.onEnded(({ id, name, status, tags, statusBeforeEnd }) => {
      const offset = lastPublished?.id === id ? lastPublished.offset : undefined
      this.ended.push({ id, name, tags, statuses: [status, statusBeforeEnd], offset })
    })
    const channels = [
      {
        ...updates,
        start: (publish: (update: MissionUpdate) => number | undefined, head: number) => {
          for (const one of this.ended) one.offset ??= head
          updates.start((update) => {
            const offset = publish(update)
            lastPublished = { id: update.missionId, offset }
            return offset
          }, head)
        }
      },
      createMissionStatsChannel({ clock, intervalMs: 5_000, totals: () => this.missions.stats() }),
      ...['metrics_tick', 'health_delta', 'anomaly_alert'].map((name) => ({ name, delivery: () => ({}), start () {}, stop () {}, snapshot: () => [] }))
    ] as unknown as Channel[]
    const findMission = createMissionLookup({ registry: this.registry, endings })
    this.hub = new Hub({
      clock,
      server,
      options: websocket,
      createChannels: () => channels,
      access: openAccess(clock),
      commands: this.registry.commands,
      alertHistory: () => [],
      findMission,
      listMissions: (query, caller) => this.registry.queries.list(query, caller),
      onCallbackError
    })
  }

  close (): void {
    this.registry.close()
    this.hub.announceClose(0)
  }
}

/** The current state of the network. */
interface Network { isDown: boolean, latencyMs: number }

/** One connection through the network, which delays messages, holds them back, or loses them with the connection. */
class Wire implements SocketLike {
  static world: { service: () => Service, clock: VirtualClock, network: Network, wires: Set<Wire> }

  readonly #listeners = new Map<string, Array<(event: SocketEvent) => void>>()
  #input: ReturnType<Hub['connect']> | undefined
  #inbound: string[] = []
  #outbound: Array<{ texts: string[], bytes: number }> = []
  #isFrozen = false
  #discardsAll = false
  #isOver = false
  bufferedBytes = 0

  constructor () {
    const { clock, network, wires } = Wire.world
    wires.add(this)
    clock.after(network.latencyMs, () => this.#arrive())
  }

  addEventListener (type: string, listener: (event: SocketEvent) => void): void {
    this.#listeners.set(type, [...this.#listeners.get(type) ?? [], listener])
  }

  // For the client.

  send (text: string): void {
    if (this.#isOver || this.#discardsAll) return
    this.#inbound.push(text)
    Wire.world.clock.after(Wire.world.network.latencyMs, () => {
      const next = this.#inbound.shift()
      if (next !== undefined && !this.#isOver && !this.#discardsAll) this.#input!.message(Buffer.from(next))
    })
  }

  close (): void {
    this.cut()
  }

  // For the service.

  write (batch: Writable): number {
    return this.bufferedBytes >= HIGH_WATER_BYTES ? -1 : this.writeAll(batch.messages())
  }

  writeAll (messages: readonly Message[]): number {
    const bytes = messages.reduce((sum, message) => sum + message.bytes, 0)
    this.#outbound.push({ texts: messages.map(({ text }) => text.toString()), bytes })
    this.bufferedBytes += bytes
    Wire.world.clock.after(Wire.world.network.latencyMs, () => this.#deliver())
    return bytes
  }

  // The operating system of a frozen client still answers pings; only a link that discards everything does not.
  ping (): void {
    if (!this.#discardsAll) Wire.world.clock.after(Wire.world.network.latencyMs, () => { if (!this.#isOver) this.#input!.pong() })
  }

  terminate (): void { this.cut() }

  /** Closes the connection after everything that was sent before; the close frame may get lost. */
  closeWith (code: number, reason: string): void {
    Wire.world.clock.after(Wire.world.network.latencyMs, () => {
      if (this.#isFrozen || this.#discardsAll) return
      this.#deliver()
      this.#end(code, reason)
    })
  }

  // For the story.

  /** Breaks the connection; messages under way in either direction are lost. */
  cut (): void {
    this.#end(1006, '')
  }

  /** Makes the client stop reading, or read again. */
  freeze (isFrozen: boolean): void {
    this.#isFrozen = isFrozen
    if (!isFrozen) this.#deliver()
  }

  /** Discards everything sent from now on, without an error on either side. */
  discard (): void { this.#discardsAll = true }

  #arrive (): void {
    const { service, network } = Wire.world
    if (this.#isOver) return
    if (network.isDown || service().hub.admit() !== undefined) return this.#end(1006, '')
    const sink = {
      get bufferedBytes () { return wire.bufferedBytes },
      write: (batch: Writable) => this.write(batch),
      writeAll: (messages: readonly Message[]) => this.writeAll(messages),
      ping: () => this.ping(),
      close: (code: number, reason: string) => this.closeWith(code, reason),
      terminate: () => this.terminate()
    }
    const wire = this
    this.#input = service().hub.connect(sink, {})
    this.#emit('open', {})
  }

  #deliver (): void {
    while (!this.#isFrozen && !this.#isOver) {
      const next = this.#outbound.shift()
      if (next === undefined) return
      this.bufferedBytes -= next.bytes
      if (this.#discardsAll) continue
      for (const data of next.texts) if (!this.#isOver) this.#emit('message', { data })
      if (!this.#isOver) this.#input!.drained()
    }
  }

  #end (code: number, reason: string): void {
    if (this.#isOver) return
    this.#isOver = true
    Wire.world.wires.delete(this)
    this.#input?.closed()
    this.#emit('close', { code, reason })
  }

  #emit (type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? []) listener({ type, ...event })
  }
}

/** What one user received, across reloads of the page. */
class Witness {
  readonly filter: SubscriptionFilter | undefined
  readonly storage = new Map<string, string>()
  /** How often the end of each mission was received, by epoch and mission. */
  readonly endings = new Map<string, number>()
  /** Per service: its epoch, and the range of offsets (`from`, `to`] that the cursor claims to have received. */
  readonly claims = new Map<Service, { epoch: string, from: number, to: number }>()
  readonly problems: string[] = []
  readonly #chance: Chance
  #last: StreamPosition = { epoch: '', offset: 0 }
  #seqs = new Map<string, number>()
  client!: ReturnType<typeof connect>

  constructor (chance: Chance, filter: SubscriptionFilter | undefined) {
    this.#chance = chance
    this.filter = filter
  }

  /** Opens the page, or reloads it with the cursor from storage. */
  open (clock: VirtualClock): void {
    this.client = connect('ws://service.example/ws', {
      WebSocket: Wire as never,
      clock: { monotonic: () => clock.monotonic(), after: (ms, run) => clock.after(ms, run) },
      random: () => this.#chance(),
      storage: { getItem: (key) => this.storage.get(key) ?? null, setItem: (key, value) => { this.storage.set(key, value) } },
      channels: ['mission_update', 'mission_stats'],
      ...(this.filter && { filter: this.filter })
    })
    this.client.on('mission_update', (update, { position }) => this.#see(update, position))
    this.client.on('error', (err) => { this.problems.push(`error ${err.code} ${err.message}`) })
    this.client.on('diverged', ({ expected, actual }) => { this.problems.push(`diverged: ${actual} instead of ${expected}`) })
  }

  /** Records what the cursor claims. Must be called after every step. */
  note (service: Service): void {
    const cursor = this.client.cursors.mission_update
    const isOld = [...this.claims].some(([one, { epoch }]) => one !== service && epoch === cursor?.epoch)
    if (cursor === undefined || isOld) return
    // A client with a cursor of an earlier service receives every end of a mission of this one.
    const claim = this.claims.get(service) ?? { epoch: cursor.epoch, from: this.claims.size > 0 ? -1 : cursor.offset, to: cursor.offset }
    if (cursor.offset < claim.to) this.problems.push(`the cursor went back from ${claim.to} to ${cursor.offset}`)
    this.claims.set(service, { ...claim, to: cursor.offset })
  }

  #see (update: MissionUpdate, position: StreamPosition | undefined): void {
    const { missionId, status, seq } = update
    const epoch = this.client.cursors.mission_update?.epoch ?? ''
    if (position !== undefined) {
      if (position.epoch === this.#last.epoch && position.offset <= this.#last.offset) this.problems.push(`offset ${position.offset} after ${this.#last.offset}`)
      this.#last = position
    }
    const key = `${position?.epoch ?? epoch} ${missionId}`
    if (TERMINAL.has(status)) this.endings.set(key, (this.endings.get(key) ?? 0) + 1)
    if (seq < (this.#seqs.get(key) ?? 0)) this.problems.push(`${missionId}: step ${seq} after ${this.#seqs.get(key)}`)
    this.#seqs.set(key, seq)
  }
}

/** The steps of a story, how often each event happened, and everything that went wrong. */
export interface Story { seed: number, lines: string[], counts: Record<string, number>, problems: string[] }

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const NAMES = ['import', 'render', 'build']
const TAGS = ['night', 'day']
const FILTERS: Array<SubscriptionFilter | undefined> = [undefined, undefined, undefined, { names: ['import', 'render'] }, { tags: ['night'] }, { statuses: ['execution_started', 'execution_progress'] }]

/** A service, its clients and the events of one story, all derived from one seed. */
class World {
  readonly #chance: Chance
  readonly #clock = createVirtualClock(Date.UTC(2026, 0, 1))
  readonly #network: Network = { isDown: false, latencyMs: 10 }
  readonly #wires = new Set<Wire>()
  readonly #witnesses: Witness[] = []
  readonly #lines: string[] = []
  readonly #options: OptionsInput
  #service: Service
  #started = 0

  constructor (seed: number) {
    this.#chance = createChance(seed)
    const { pick } = this.#chance
    this.#options = {
      websocket: { history: { maxMessages: pick([3, 20, 10_000]), maxAgeMs: pick([20_000, 900_000]) }, maxConnectionsPerSecond: 1_000 },
      missions: { maxEnded: pick([0, 1_000]), stallMs: 3_600_000, maxProgressPerSecond: pick([1, 10, 1_000]) }
    }
    this.#service = new Service(this.#clock, this.#options)
    Wire.world = { service: () => this.#service, clock: this.#clock, network: this.#network, wires: this.#wires }
  }

  readonly #counts: Record<string, number> = {}

  async run (): Promise<Omit<Story, 'seed'>> {
    const { pick, upTo } = this.#chance
    for (let at = upTo(2); at >= 0; at--) {
      const witness = new Witness(this.#chance, pick(FILTERS))
      this.#witnesses.push(witness)
      witness.open(this.#clock)
    }
    for (let steps = 30 + upTo(70); steps > 0; steps--) await this.#step()
    await this.#settle()
    this.#count(this.#service)
    return { lines: this.#lines, counts: this.#counts, problems: this.#judge() }
  }

  #count ({ hub }: Service): void {
    const { outcomes, gaps, laggedTotal, replacedTotal } = hub.totals()
    for (const [name, count] of Object.entries({ ...outcomes, ...gaps, lagged: laggedTotal, replaced: replacedTotal })) this.#counts[name] = (this.#counts[name] ?? 0) + count
  }

  async #step (): Promise<void> {
    const { pick, upTo } = this.#chance
    const act = pick(ACTS)
    this.#lines.push(`${this.#clock.monotonic()} ${act}`)
    this.#acts[act]()
    await nextTurn()
    this.#clock.advance(pick([0, 0, 1, 5, 30, 200, 1_000, upTo(5_000)]))
    await this.#quiet()
  }

  // Promises and flushes take a few turns of the event loop.
  async #quiet (): Promise<void> {
    for (let rounds = 0; rounds < 3; rounds++) await nextTurn()
    for (const witness of this.#witnesses) witness.note(this.#service)
  }

  readonly #acts: Record<(typeof ACTS)[number], () => void> = {
    start: () => {
      const name = this.#chance.pick(NAMES)
      const tags = this.#chance.pick([[], ['night'], ['day', 'night'], [this.#chance.pick(TAGS)]])
      this.#service.missions.start({ id: `m${++this.#started}`, name, tags })
    },
    report: () => this.#someMission((mission) => mission.report(this.#chance.pick(MISSION_STATUSES.filter((status) => !TERMINAL.has(status))), { progress: { taskId: 'x', index: 1 + this.#chance.upTo(9), total: 10, status: 'done' } })),
    progress: () => this.#someMission((mission) => {
      for (let index = this.#chance.upTo(8); index >= 0; index--) mission.progress({ taskId: `t${index}`, index: index + 1, total: 9, status: 'done' })
    }),
    plan: () => this.#someMission((mission) => mission.planned({ text: 'x'.repeat(this.#chance.upTo(20_000)) })),
    end: () => this.#someMission((mission) => { this.#chance.pick([() => mission.complete(), () => mission.fail('broken'), () => mission.report('cancelled')])() }),
    burst: () => {
      for (let at = this.#chance.upTo(40); at >= 0; at--) {
        const mission = this.#service.missions.start({ id: `m${++this.#started}`, name: this.#chance.pick(NAMES) })
        if (this.#chance() < 0.8) mission.complete()
      }
    },
    // More than a connection keeps for a client that does not read, if it happens twice.
    flood: () => {
      const { missions } = this.#service
      for (let at = 10 + this.#chance.upTo(20); at >= 0; at--) {
        const mission = missions.start({ id: `m${++this.#started}`, name: this.#chance.pick(NAMES) })
        mission.planned({ text: 'x'.repeat(20_000) })
        mission.progress({ taskId: 'a', index: 1, total: 2, status: 'done' })
        mission.progress({ taskId: 'b', index: 2, total: 2, status: 'done' })
        if (this.#chance() < 0.9) mission.complete()
      }
    },
    cut: () => this.#someWire((wire) => wire.cut()),
    discard: () => this.#someWire((wire) => wire.discard()),
    freeze: () => this.#someWire((wire) => wire.freeze(true)),
    thaw: () => { for (const wire of this.#wires) wire.freeze(false) },
    latency: () => { this.#network.latencyMs = this.#chance.pick([0, 1, 10, 300, 2_000]) },
    outage: () => { this.#network.isDown = !this.#network.isDown },
    wait: () => this.#clock.advance(this.#chance.pick([1_000, 10_000, 40_000])),
    reload: () => {
      const witness = this.#chance.pick(this.#witnesses)
      witness.client.close()
      witness.open(this.#clock)
    },
    restart: () => {
      const before = this.#service
      for (const wire of this.#wires) wire.cut()
      this.#count(before)
      before.close()
      this.#service = new Service(this.#clock, this.#options)
    }
  }

  #someMission (act: (mission: Mission) => void): void {
    const active = this.#service.registry.queries.visible().map(({ id }) => this.#service.registry.find(id)!.handle)
    if (active.length > 0) act(this.#chance.pick(active))
  }

  #someWire (act: (wire: Wire) => void): void {
    if (this.#wires.size > 0) act(this.#chance.pick([...this.#wires]))
  }

  // The network recovers, and every client has the time to reconnect and to receive two heartbeats.
  async #settle (): Promise<void> {
    Object.assign(this.#network, { isDown: false, latencyMs: 1 })
    for (const wire of this.#wires) wire.freeze(false)
    for (let rounds = 0; rounds < 60; rounds++) {
      this.#clock.advance(5_000)
      await this.#quiet()
    }
  }

  #judge (): string[] {
    const active = this.#service.registry.queries.visible().map((mission) => mission.view())
    return this.#witnesses.flatMap((witness, at) => {
      const { client, filter, problems, endings, claims } = witness
      const found = [...problems]
      if (client.state !== 'open') found.push(`is ${client.state}: ${client.cause}`)
      const held = [...client.missionsState.values()].filter(({ status }) => !TERMINAL.has(status))
      const mine = active.filter(({ name, tags, status }) => fitsFilter(filter, { name, tags, statuses: [status] }))
      const describe = (list: Array<{ id: string, status: string, progress: { index: number, taskId: string } | null | undefined }>): string =>
        list.map(({ id, status, progress }) => `${id} ${status} ${progress?.taskId ?? ''}`).sort().join(', ')
      const holds = describe(held.map(({ missionId: id, status, progress }) => ({ id, status, progress })))
      const is = describe(mine)
      if (holds !== is) found.push(`holds [${holds}] instead of [${is}]`)
      for (const [service, { epoch, from, to }] of claims) {
        for (const { id: missionId, name, tags, statuses, offset } of service.ended) {
          const times = endings.get(`${epoch} ${missionId}`) ?? 0
          if (times > 1) found.push(`received ${times} times that ${missionId} ended`)
          const isDue = offset !== undefined && offset > from && offset <= to && fitsFilter(filter, { name, tags, statuses })
          if (isDue && times === 0) found.push(`did not receive that ${missionId} ended, offset ${offset} of ${from} to ${to}`)
        }
      }
      return found.map((problem) => `client ${at}: ${problem}`)
    })
  }
}

const ACTS = [
  'start', 'start', 'start', 'report', 'report', 'report', 'progress', 'progress', 'progress', 'plan', 'end', 'end', 'end', 'burst', 'flood',
  'cut', 'cut', 'discard', 'freeze', 'freeze', 'freeze', 'thaw', 'latency', 'outage', 'wait', 'wait', 'reload', 'restart'
] as const

function fitsFilter (filter: SubscriptionFilter | undefined, { name, tags, statuses }: { name: string, tags: readonly string[], statuses: Array<MissionStatus | undefined> }): boolean {
  if (filter === undefined) return true
  return (filter.names?.includes(name) ?? true) && (filter.tags?.some((tag) => tags.includes(tag)) ?? true) && (filter.statuses?.some((status) => statuses.includes(status)) ?? true)
}

/** Plays the story of a seed. */
export async function simulate (seed: number): Promise<Story> {
  return { seed, ...await new World(seed).run() }
}
