import type { ChannelName } from '../../schemas/channels/index.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Backplane, SharedLog } from '../backplane/contract.js'
import { afterAtMost, type Clock } from '../base/clock.js'
import type { Endings, MissionRegistry } from '../missions/index.js'
import type { AdaptiveSignals, MonitoringService, ProcessFacts, ScopeAlerts } from '../monitoring/index.js'
import { Cancels } from './cancels.js'
import { ClusterAlerts } from './alerts/cluster-alerts.js'
import { ClusterHealth } from './cluster-health.js'
import { ClusterMissions } from './cluster-missions.js'
import { createPublication, type PendingStep } from './log/steps.js'
import { LogLink, type ClusterHub } from './log-link.js'
import { Membership, type MembershipOptions } from './membership.js'
import { createInbox } from './inbox.js'
import { PictureFeed } from './picture/picture-feed.js'
import { Picture } from './picture/picture.js'
import { ALERT_CHANNEL, TENANT_ALERT_CHANNEL } from './alerts/published-alerts.js'
import { Reports } from './reports.js'

export interface ClusterDeps {
  clock: Clock
  backplane: Backplane
  member: MembershipOptions
  registry: MissionRegistry
  endings: Endings
  /** How many ended missions are known, and for how long in ms. */
  endedIds: { max: number, maxAgeMs: number }
  monitoring: MonitoringService
  /** Evaluates the alerts, if this process does that for all. */
  alerts: ScopeAlerts
  /** Creates the alerts of a tenant. */
  createTenantAlerts: (tenant: string) => ScopeAlerts
  /** How this process gets along; `undefined` for one without clients. */
  process: () => ProcessFacts | undefined
  /** The state that the adaptive alerts have learned. */
  signals: AdaptiveSignals
  hidesUnknownParents: boolean
  options: Pick<ResolvedOptions, 'channels' | 'missions' | 'websocket'>
  /** Receives problems with the backplane. */
  onWarning: (err: unknown) => void
  onListenerError: (err: unknown) => void
  /** Calls a function once the present turn of the event loop is over. */
  defer: (run: () => void) => void
}

const LEAVE_MS = 1_000

/** One process among those that share a log: what it knows of all, and how it takes part. */
export class Cluster {
  readonly picture: Picture
  readonly feed: PictureFeed
  readonly health: ClusterHealth
  readonly reports: Reports
  readonly alerts: ClusterAlerts
  readonly missions: ClusterMissions
  readonly membership: Membership
  readonly link: LogLink
  readonly #deps: ClusterDeps
  readonly #log: SharedLog
  readonly #cancels: Cancels
  #brokenEntries = 0

  constructor (deps: ClusterDeps) {
    const { clock, backplane, registry, endings, monitoring, options, onWarning, onListenerError } = deps
    this.#deps = deps
    this.membership = new Membership(deps.member)
    const onDropped = (count: number) => { this.#brokenEntries += count }
    this.#log = backplane.connect({ clock, onMessage: (text) => receive(text), onWarning, onDropped })
    const picture = this.picture = new Picture({
      clock,
      options: options.missions,
      endedIds: deps.endedIds,
      deadlines: registry.deadlines,
      history: options.websocket.history,
      hidesUnknownParents: deps.hidesUnknownParents
    })
    const onBroken = () => { this.#brokenEntries++ }
    this.feed = new PictureFeed({ picture, endings, onListenerError, onBroken })
    const send = async (to: string | undefined, message: object) => await this.#log.send(to, JSON.stringify(message))
    const shared = { clock, registry, picture, membership: this.membership, onListenerError }
    this.#cancels = new Cancels({ ...shared, send })
    this.reports = new Reports({
      ...shared,
      monitoring,
      process: deps.process,
      counts: () => countsOf(registry),
      send: async (report) => await send(undefined, report)
    })
    const { reports } = this
    const receive = createInbox({ cancels: this.#cancels, reports, alerts: () => this.alerts, onWarning })
    this.health = new ClusterHealth({ clock, monitoring, reports: this.reports, onListenerError })
    this.missions = new ClusterMissions({ ...shared, reports: this.reports, cancels: this.#cancels })
    const append = (step: PendingStep) => this.link.append(step)
    let isWarned = false
    this.alerts = new ClusterAlerts({
      ...shared,
      intervalMs: options.channels.anomalyAlertMs,
      alerts: deps.alerts,
      createTenant: deps.createTenantAlerts,
      signals: deps.signals,
      isEvaluating: () => this.membership.isLeader && !this.health.isAway,
      append,
      send: async (message) => await send(undefined, message)
    })
    this.link = new LogLink({
      ...shared,
      log: this.#log,
      leaseMs: backplane.leaseMs,
      defer: deps.defer,
      feed: this.feed,
      missions: this.missions,
      alerts: this.alerts,
      onJoined: () => this.reports.start(),
      onAway: (isAway, err) => {
        if (isAway && !isWarned) onWarning(err)
        isWarned = isAway
        this.health.isAway = isAway
      }
    })
    registry.share(this.missions)
  }

  /** The epoch of the log; `undefined` until it is known. */
  get epoch (): string | undefined { return this.picture.position.epoch || undefined }

  /** Numbers for metrics. */
  get totals () {
    const { outbox } = this.link
    return {
      isAway: this.health.isAway,
      waiting: this.link.waiting,
      droppedSteps: outbox.droppedSteps,
      droppedEndings: outbox.droppedEndings,
      brokenEntries: this.#brokenEntries,
      instances: this.membership.alive.length
    }
  }

  /** Connects the clients of this process. */
  connect (hub: ClusterHub): void {
    this.link.hub = hub
  }

  /**
   * Joins, and resolves once everything is known, or after `withinMs`.
   *
   * @throws what the backplane rejects with if trying again can not help
   */
  async start (withinMs: number): Promise<void> {
    await this.#within(withinMs, this.link.start())
  }

  /** Appends a message of the host. */
  publish (channel: ChannelName, payload: object, isReliable: boolean, tenant: string | undefined): void {
    const append = (options: { channel: string, tenant: string | undefined }) =>
      this.link.append(createPublication({ ...options, isReliable, payload }))
    if (channel !== ALERT_CHANNEL || tenant === undefined) return append({ channel, tenant })
    append({ channel, tenant: undefined })
    append({ channel: TENANT_ALERT_CHANNEL, tenant })
  }

  /** Resolves when everything so far was appended, or after `withinMs`. */
  async flush (withinMs: number): Promise<void> {
    await this.#within(withinMs, this.link.idle())
  }

  /** Leaves the log. Missions that have not ended are treated as if the process had died. */
  async close (): Promise<void> {
    this.link.close()
    this.#cancels.close()
    this.reports.close()
    this.alerts.close()
    this.health.close()
    const { onWarning } = this.#deps
    if (this.link.hasLease) await this.#within(LEAVE_MS, this.#log.leave().catch(onWarning))
    await this.#within(LEAVE_MS, this.#log.close().catch(onWarning))
  }

  async #within (ms: number, promise: Promise<void>): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = afterAtMost(this.#deps.clock, ms, resolve)
      promise.then(resolve, reject).finally(() => timer.cancel())
    })
  }
}

function countsOf (registry: MissionRegistry) {
  const { lateOutcomes, refused, untracked } = registry.totals.read()
  return { lateOutcomes, refused, untracked }
}
