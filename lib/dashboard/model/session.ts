import { batch, computed, signal, type ReadonlySignal } from '@preact/signals-core'
import type { Client, ClientEvents } from '../../client/index.js'
import type { Anomaly } from '../../../schemas/anomaly.js'
import type { MetricsTick } from '../../../schemas/channels/metrics-tick.js'
import type { MissionStats } from '../../../schemas/channels/mission-stats.js'
import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { HealthSnapshot } from '../../../schemas/health.js'
import type { TerminalStatus } from '../../../schemas/mission.js'
import { AlertList, MAX_ALERT_ROWS } from './alerts.js'
import { Announcer } from './announcer.js'
import { describeConnection, type ConnectionFacts, type ConnectionView } from './connection.js'
import { listenVia } from './messages.js'
import { Archive } from './missions/archive.js'
import type { Mission } from './missions/mission.js'
import { Missions, type Counts } from './missions/missions.js'

/** The viewer's permissions, and the service that answers. */
export interface Service {
  readonly name: string
  readonly version: string
  readonly canStart: boolean
  readonly canCancel: boolean
  /** Whether the viewer may see the latency of operations. */
  readonly hasOperations: boolean
  /** JSON Schema of the input of a new mission, if the service has one. */
  readonly startSchema: unknown
  /** How long work may take to end once it was asked to, in ms. */
  readonly cancelGraceMs: number | undefined
}

/** Percentiles of the operations at one moment, in ms. */
export interface OperationPoint { readonly at: number, readonly p95: number, readonly p99: number }

export interface SessionOptions { now: () => number, isReadOnly: boolean }

const NO_ENDINGS = { completed: 0, cancelled: 0, error: 0 }
const MAX_OPERATION_POINTS = 720
/** Messages that a paused page keeps; with more, it resumes. */
export const MAX_HELD = 10_000

/** Everything that the page knows, fed by one client. The views read its signals and call its methods. */
export class Session {
  readonly missions = new Missions()
  readonly archive: Archive
  readonly alerts = new AlertList()
  readonly announcer = new Announcer()
  readonly service = signal<Service | undefined>(undefined)
  readonly health = signal<HealthSnapshot | undefined>(undefined)
  readonly operations = signal<readonly OperationPoint[]>([])
  readonly rttMs = signal<number | undefined>(undefined)
  /** Ticks once a second while the page is live, so that the times of missions stop with the connection. */
  readonly now: ReadonlySignal<number>
  /** Ticks once a second always. */
  readonly clock: ReadonlySignal<number>
  readonly isPaused = signal(false)
  readonly isNewer = signal(false)
  readonly wasRestarted = signal(false)
  readonly isLoaded = signal(false)
  readonly connection: ReadonlySignal<ConnectionView>
  /** The service's counts since it started. Until they arrive, counts of the missions that the page knows. */
  readonly counts: ReadonlySignal<Counts>
  readonly #now = signal(0)
  readonly #clock = signal(0)
  readonly #stats = signal<MissionStats | undefined>(undefined)
  /** Endings since the last totals of the service. */
  readonly #endings = signal<Record<TerminalStatus, number>>(NO_ENDINGS)
  readonly #facts = signal<ConnectionFacts>({
    state: 'connecting', cause: 'start', retryAt: undefined, lastMessageAt: undefined, wasLive: false, isCaughtUp: false
  })

  readonly #held = new Map<string, () => void>()
  #isExpired = false
  readonly #options: SessionOptions
  #client: Client | undefined
  #lastMessageAt: number | undefined

  constructor (options: SessionOptions) {
    this.#options = options
    this.now = this.#now
    this.clock = this.#clock
    this.#now.value = this.#clock.value = options.now()
    this.archive = new Archive({ missions: this.missions, client: () => this.client, now: options.now })
    this.counts = computed(() => this.#count())
    this.connection = computed(() => describeConnection(
      { ...this.#facts.value, lastMessageAt: this.#lastMessageAt }, this.#clock.value))
  }

  get client (): Client { return this.#client! }

  /** When the last message arrived. The page shows the state of that time. */
  get lastMessageAt (): number | undefined { return this.#lastMessageAt }

  /** Follows a client that subscribes to all channels. */
  follow (client: Client): void {
    this.#client = client
    const take = listenVia(client, (key, apply) => this.#receive(key, apply))
    client.on('state', (event) => this.#onState(event))
    client.on('version', () => { this.isNewer.value = true })
    client.on('gap', (event) => this.#onGap(event))
    take('lost', ({ missionId }) => this.missions.remove(missionId))
    take('mission_update', (update) => this.#onUpdate(update))
    take('mission_stats', (stats) => this.#onStats(stats))
    take('health_delta', ({ health }) => { this.health.value = health })
    take('anomaly_alert', (anomaly) => this.#onAlert(anomaly))
    take('metrics_tick', (tick) => this.#onTick(tick))
  }

  /** To be called once a second. */
  tick (): void {
    const nowMs = this.#options.now()
    batch(() => {
      this.#clock.value = nowMs
      this.rttMs.value = this.#client?.rttMs
      if (this.connection.value.isLive && !this.isPaused.value) this.#now.value = nowMs
    })
  }

  /** Pauses or resumes the display. While paused, the newest message of each subject is kept. */
  setPaused (isPaused: boolean): void {
    this.isPaused.value = isPaused
    if (isPaused) return
    batch(() => { for (const apply of this.#held.values()) apply() })
    this.#held.clear()
    this.missions.publish()
    this.tick()
  }

  /** The service refuses the visitor. Nothing more comes, and the page says why. */
  expire (): void {
    this.#isExpired = true
    this.client.close()
  }

  // While the page is paused, a newer message replaces an older one about the same thing.
  #receive (key: string, apply: () => void): void {
    this.#lastMessageAt = this.#options.now()
    if (!this.isPaused.peek()) return apply()
    this.#held.delete(key)
    this.#held.set(key, apply)
    if (this.#held.size > MAX_HELD) this.setPaused(false)
  }

  // The client has merged the update into its state; for a mission that it no longer keeps, only the update is left.
  #onUpdate (update: MissionUpdate): void {
    const isSnapshot = update.snapshot === true
    const state = this.client.missionsState.get(update.missionId) ?? update
    const mission = this.missions.apply(state, this.#options.now(), isSnapshot)
    if (mission !== undefined && mission.phase !== 'active' && !isSnapshot) this.#onEnding(mission)
  }

  #onEnding (mission: Mission): void {
    const endings = this.#endings.peek()
    const phase = mission.phase as TerminalStatus
    this.#endings.value = { ...endings, [phase]: endings[phase] + 1 }
    this.announcer.addEnding(mission)
  }

  #onStats (stats: MissionStats): void {
    batch(() => {
      this.#stats.value = stats
      this.#endings.value = NO_ENDINGS
    })
  }

  #count (): Counts {
    const known = this.missions.counts.value
    const stats = this.#stats.value
    if (stats === undefined || this.missions.tenant.value !== '') return known
    const { completed, cancelled, error } = this.#endings.value
    return {
      active: known.active,
      stalled: known.stalled,
      completed: stats.completed + completed,
      cancelled: stats.cancelled + cancelled,
      error: stats.errors + error
    }
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

  #onGap ({ channel, cause }: ClientEvents['gap']): void {
    if (channel === 'anomaly_alert') this.alerts.clear()
    if (channel !== 'mission_update') return
    if (cause === 'epoch_changed') this.wasRestarted.value = true
    this.#refresh()
  }

  #onState ({ state, cause, retryInMs }: ClientEvents['state']): void {
    const { cause: lastCause, wasLive, isCaughtUp } = this.#facts.peek()
    const isUp = state === 'open' || state === 'stale'
    const lacksToken = state === 'connecting' && lastCause === 'token_failed'
    this.#facts.value = {
      state,
      cause: this.#isExpired ? 'unauthorised' : lacksToken ? lastCause : cause,
      retryAt: retryInMs === undefined ? undefined : this.#options.now() + retryInMs,
      lastMessageAt: undefined,
      wasLive,
      isCaughtUp: isUp && isCaughtUp
    }
    if (state === 'open' && cause === 'connected') this.#introduce().catch(() => {})
  }

  // A ping is answered after everything that a subscribe has brought, so that the picture is whole then. An error means
  // that the connection was lost again; the next one introduces itself.
  async #introduce (): Promise<void> {
    const { client } = this
    const whoami = await client.request<'whoami'>({ type: 'whoami' })
    const can = (command: string) => !this.#options.isReadOnly && whoami.capabilities.includes(command)
    const { server: name, version, startSchema, cancelGraceMs } = whoami
    this.service.value = {
      name,
      version,
      canStart: can('mission_start'),
      canCancel: can('mission_cancel'),
      hasOperations: whoami.channels.includes('metrics_tick'),
      startSchema,
      cancelGraceMs
    }
    await client.ping()
    await this.#refresh()
    batch(() => {
      this.isLoaded.value = true
      this.#facts.value = { ...this.#facts.peek(), wasLive: true, isCaughtUp: client.state === 'open' }
    })
    this.tick()
  }

  async #refresh (): Promise<void> {
    await this.archive.begin()
    try {
      const request = { type: 'anomaly_history' as const, limit: MAX_ALERT_ROWS }
      const { alerts } = await this.client.request<'anomaly_history'>(request)
      this.alerts.load(alerts, this.#options.now())
    } catch {
      // The viewer may not see older alerts; alerts that this page has already received remain.
    }
  }
}
