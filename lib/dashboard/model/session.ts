import { batch, computed, effect, signal, type ReadonlySignal } from '@preact/signals-core'
import type { Client, ClientState, StateCause } from '../../client/index.js'
import type { MissionStats } from '../../../schemas/channels/mission-stats.js'
import type { MetricsTick } from '../../../schemas/channels/metrics-tick.js'
import type { HealthSnapshot } from '../../../schemas/health.js'
import type { Anomaly } from '../../../schemas/anomaly.js'
import type { TerminalStatus } from '../../../schemas/mission.js'
import { AlertList } from './alerts.js'
import { Announcer } from './announcer.js'
import { describeConnection, type ConnectionFacts } from './connection.js'
import type { Mission } from './missions/mission.js'
import { Missions, type Counts } from './missions/missions.js'
import { BUCKET_MS, BUCKETS } from './missions/trends.js'

/** What a viewer may do, and who answers. */
export interface Service {
  readonly name: string
  readonly version: string
  readonly canStart: boolean
  readonly canCancel: boolean
  /** JSON Schema of what a new mission needs, if the service has one. */
  readonly startSchema: unknown
  /** How long work may take to end once it was asked to, in ms. */
  readonly cancelGraceMs: number | undefined
}

/** Percentiles of the operations at one moment, in ms. */
export interface OperationPoint { readonly at: number, readonly p95: number, readonly p99: number }

export interface SessionOptions { now: () => number, isReadOnly: boolean }

const REFUSALS: Record<string, string> = {
  unknown_mission: 'It has ended, or you may not stop it.',
  owner_unavailable: 'The process that runs it does not answer. Try again in a moment.',
  forbidden: 'You may not do this.',
  too_many_starts: 'Too many missions were started. Try again in a minute.',
  invalid_command: 'The service does not accept this input.',
  MC_CLIENT_TIMEOUT: 'The service has not answered in time.',
  MC_CLIENT_OUTCOME_UNKNOWN: 'The connection was lost before the answer. Look before you try again.'
}
const NO_ENDINGS = { completed: 0, cancelled: 0, error: 0 }
const MAX_OPERATION_POINTS = 720
const PAGE_SIZE = 200
/** Pages that are loaded at first, as long as they are within the time of the charts. */
const FIRST_PAGES = 5

/** Everything that the page knows, fed by one client. The views read its signals and call its methods. */
export class Session {
  readonly missions = new Missions()
  readonly alerts = new AlertList()
  readonly announcer = new Announcer()
  readonly service = signal<Service | undefined>(undefined)
  readonly stats = signal<MissionStats | undefined>(undefined)
  readonly health = signal<HealthSnapshot | undefined>(undefined)
  readonly operations = signal<readonly OperationPoint[]>([])
  readonly rttMs = signal<number | undefined>(undefined)
  /** Ticks once a second while the page is live, so that the times of missions stop with the connection. */
  readonly now = signal(0)
  /** Ticks once a second always. */
  readonly clock = signal(0)
  readonly isPaused = signal(false)
  readonly isNewer = signal(false)
  readonly wasRestarted = signal(false)
  readonly isLoaded = signal(false)
  /** The cursor of older missions: `undefined` before the first page, `null` when there are no more. */
  readonly olderCursor = signal<string | null | undefined>(undefined)
  /** Everything that ended after this time is known. */
  readonly completeSinceMs = signal(Infinity)
  readonly connection: ReadonlySignal<ReturnType<typeof describeConnection>>
  readonly #facts = signal<ConnectionFacts>({
    state: 'connecting', cause: 'start', retryAt: undefined, lastMessageAt: undefined, wasOpen: false, isCaughtUp: false
  })

  readonly #counts: ReadonlySignal<Counts>
  /** Endings since the last totals of the service. */
  readonly #endings = signal<Record<TerminalStatus, number>>(NO_ENDINGS)
  readonly #held: Array<() => void> = []
  readonly #options: SessionOptions
  #client: Client | undefined
  #lastMessageAt: number | undefined

  constructor (options: SessionOptions) {
    this.#options = options
    this.now.value = this.clock.value = options.now()
    this.#counts = computed(() => {
      const { active, stalled, ...known } = this.missions.counts.value
      const stats = this.stats.value
      if (stats === undefined) return { active, stalled, ...known }
      const { completed, cancelled, error } = this.#endings.value
      return {
        active,
        stalled,
        completed: stats.completed + completed,
        cancelled: stats.cancelled + cancelled,
        error: stats.errors + error
      }
    })
    this.connection = computed(() => describeConnection(
      { ...this.#facts.value, lastMessageAt: this.#lastMessageAt }, this.clock.value))
  }

  get client (): Client { return this.#client! }

  /** The counts of the service since it started; those of the missions that the page knows until they come. */
  get counts (): ReadonlySignal<Counts> { return this.#counts }

  /** When the last message came; what the page shows is as of then. */
  get lastMessageAt (): number | undefined { return this.#lastMessageAt }

  /** Follows a client that subscribes to all channels. */
  follow (client: Client): void {
    this.#client = client
    client.on('state', ({ state, cause, retryInMs }) => this.#onState(state, cause, retryInMs))
    client.on('version', () => { this.isNewer.value = true })
    client.on('mission_update', (update) => this.#receive(() => {
      // The client has merged it into what it knows; of a mission that it keeps no longer, there is only the update.
      const state = client.missionsState.get(update.missionId) ?? update
      const mission = this.missions.apply(state, this.#options.now(), update.snapshot === true)
      if (mission !== undefined && mission.phase !== 'active' && update.snapshot === undefined) this.#onEnding(mission)
    }))
    client.on('lost', ({ missionId }) => this.#receive(() => this.missions.remove(missionId)))
    client.on('gap', ({ channel, cause }) => {
      if (channel === 'anomaly_alert') this.alerts.clear()
      if (channel === 'mission_update' && cause === 'epoch_changed') this.wasRestarted.value = true
      if (channel === 'mission_update') this.#refresh()
    })
    client.on('mission_stats', (stats) => this.#receive(() => batch(() => {
      this.stats.value = stats
      this.#endings.value = NO_ENDINGS
    })))
    client.on('health_delta', ({ health }) => this.#receive(() => { this.health.value = health }))
    client.on('anomaly_alert', (anomaly) => this.#receive(() => this.#onAlert(anomaly)))
    client.on('metrics_tick', (tick) => this.#receive(() => this.#onTick(tick)))
  }

  /** Publishes what came since the last call; to be called once per frame. */
  publish (): void {
    this.missions.publish()
  }

  /** To be called once a second. */
  tick (): void {
    const nowMs = this.#options.now()
    batch(() => {
      this.clock.value = nowMs
      this.rttMs.value = this.#client?.rttMs
      if (this.connection.value.isLive && !this.isPaused.value) this.now.value = nowMs
    })
  }

  /** Stops or continues to show what comes; nothing is lost meanwhile. */
  setPaused (isPaused: boolean): void {
    this.isPaused.value = isPaused
    if (isPaused) return
    batch(() => { for (const apply of this.#held.splice(0)) apply() })
    this.publish()
  }

  /** Loads the missions that ended before those that the page knows. */
  async loadOlder (): Promise<void> {
    const cursor = this.olderCursor.value
    if (cursor === null) return
    const query = { limit: PAGE_SIZE, ...cursor !== undefined && { cursor } }
    const { missions, nextCursor } = await this.client.request<'mission_list'>({ type: 'mission_list', query })
    this.missions.add(missions, this.#options.now())
    this.olderCursor.value = nextCursor
    // Lists are ordered by start. Only a mission that started before the page and ended after its time may be missing.
    const oldest = missions.at(-1)?.startedAt ?? 0
    this.completeSinceMs.value = nextCursor === null ? 0 : Math.min(this.completeSinceMs.value, oldest)
    this.publish()
  }

  /** Asks for the missions that the service has for a search, also those that the page does not know. */
  async search (q: string): Promise<void> {
    const query = { limit: PAGE_SIZE, q: q.slice(0, 128) }
    const { missions } = await this.client.request<'mission_list'>({ type: 'mission_list', query })
    this.missions.add(missions, this.#options.now())
    this.publish()
  }

  /** Asks for one mission, with its plan and its notes. Returns whether the service knows it. */
  async load (id: string): Promise<boolean> {
    try {
      const update = await this.client.request<'mission_get'>({ type: 'mission_get', missionId: id })
      this.missions.apply(update, this.#options.now(), true)
      this.publish()
      return true
    } catch {
      return this.missions.get(id) !== undefined
    }
  }

  /** Asks the service to stop missions. Returns why it did not, one text for each failure. */
  async stop (ids: readonly string[], reason: string): Promise<string[]> {
    const failures: string[] = []
    for (const missionId of ids) {
      const request = { type: 'mission_cancel' as const, missionId, ...reason !== '' && { reason } }
      await this.client.request<'mission_cancel'>(request).catch((err: unknown) => { failures.push(this.explain(err)) })
    }
    return failures
  }

  /** The error of a command in words. */
  explain (err: unknown): string {
    const { reason, code } = err as { reason?: string, code?: string }
    return REFUSALS[reason ?? ''] ?? REFUSALS[code ?? ''] ?? 'The service could not do it; its log says why.'
  }

  /** Calls `run` now and after every change of the missions. Returns the function that stops it. */
  onChanged (run: () => void): () => void {
    return effect(() => {
      if (this.missions.version.value >= 0) run()
    })
  }

  #receive (apply: () => void): void {
    this.#lastMessageAt = this.#options.now()
    if (this.isPaused.peek()) this.#held.push(apply)
    else apply()
  }

  #onEnding (mission: Mission): void {
    const endings = this.#endings.peek()
    const phase = mission.phase as TerminalStatus
    this.#endings.value = { ...endings, [phase]: endings[phase] + 1 }
    this.announcer.addEnding(mission)
  }

  #onAlert (anomaly: Anomaly): void {
    const alert = this.alerts.apply(anomaly, this.#options.now())
    if (alert !== undefined && anomaly.snapshot === undefined) this.announcer.addAlert(alert)
  }

  #onTick ({ p95, p99, count }: MetricsTick): void {
    if (count === 0) return
    const point = { at: this.#options.now(), p95, p99 }
    this.operations.value = [...this.operations.peek().slice(1 - MAX_OPERATION_POINTS), point]
  }

  #onState (state: ClientState, cause: StateCause, retryInMs: number | undefined): void {
    const known = this.#facts.peek()
    const nowMs = this.#options.now()
    const retryAt = retryInMs === undefined ? undefined : nowMs + retryInMs
    const isUp = state === 'open' || state === 'stale'
    this.#facts.value = {
      ...known, state, cause, retryAt, wasOpen: known.wasOpen || isUp, isCaughtUp: isUp && known.isCaughtUp
    }
    if (state === 'open' && cause === 'connected') this.#introduce().catch(() => {})
  }

  // A ping is answered after everything that a subscribe has brought, so that the picture is whole then.
  async #introduce (): Promise<void> {
    const { client } = this
    const [whoami] = await Promise.all([client.request<'whoami'>({ type: 'whoami' }), client.ready])
    const { isReadOnly } = this.#options
    const can = (command: string) => !isReadOnly && whoami.capabilities.includes(command)
    const { startSchema, cancelGraceMs } = whoami as { startSchema?: unknown, cancelGraceMs?: number }
    this.service.value = {
      name: whoami.server,
      version: whoami.version,
      canStart: can('mission_start'),
      canCancel: can('mission_cancel'),
      startSchema,
      cancelGraceMs
    }
    await client.ping()
    await this.#refresh()
    batch(() => {
      this.isLoaded.value = true
      this.#facts.value = { ...this.#facts.peek(), isCaughtUp: client.state === 'open' }
    })
    this.tick()
  }

  // A viewer may be allowed to see missions only from now on.
  async #refresh (): Promise<void> {
    this.olderCursor.value = undefined
    const wanted = this.#options.now() - BUCKETS * BUCKET_MS
    try {
      for (let page = 0; page < FIRST_PAGES && this.completeSinceMs.value > wanted; page++) await this.loadOlder()
    } catch {
      this.olderCursor.value = null
      this.completeSinceMs.value = this.#options.now()
    }
    try {
      const { alerts } = await this.client.request<'anomaly_history'>({ type: 'anomaly_history', limit: 200 })
      this.alerts.load(alerts, this.#options.now())
    } catch {
      // A service without a history: what this page has seen remains.
    }
  }
}
