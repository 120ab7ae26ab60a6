import type { GapCause } from '../../schemas/messages/server-messages.js'
import type { LogBatch, PublicationEntry, SharedLog } from '../backplane/contract.js'
import type { Clock } from '../base/clock.js'
import type { MissionRegistry } from '../missions/index.js'
import type { ClusterAlerts } from './alerts/cluster-alerts.js'
import type { ClusterMissions } from './cluster-missions.js'
import { Duties } from './duties.js'
import { LeaseRenewal } from './lease-renewal.js'
import { AckedBatches } from './log/acked-batches.js'
import { Appender } from './log/appender.js'
import { Follower, type ReloadCause } from './log/follower.js'
import { loadPicture } from './log/loader.js'
import { StepOutbox } from './log/outbox.js'
import { Repair } from './log/repair.js'
import { RecentEndings } from './log/recent-endings.js'
import { createKnownEnding, createMissionStep, createRestatement, type PendingStep } from './log/steps.js'
import { Restatements } from './log/restatements.js'
import { UncertainBatch } from './log/uncertain-batch.js'
import type { Membership } from './membership.js'
import type { PictureFeed } from './picture/picture-feed.js'
import type { Picture } from './picture/picture.js'
import { Reconciler } from './reconciler.js'

/** What clients are connected to. */
export interface ClusterHub {
  /** @see Hub.restart */
  restart (epoch: string, cause: GapCause): void
  /** Publishes what the host of any process has published. */
  publish (entry: PublicationEntry, at: number): void
}

export interface LogLinkDeps {
  clock: Clock
  log: SharedLog
  leaseMs: number
  registry: MissionRegistry
  picture: Picture
  membership: Membership
  feed: PictureFeed
  missions: ClusterMissions
  alerts: ClusterAlerts
  defer: (run: () => void) => void
  /** Called after each join. */
  onJoined: () => void
  /** Whether the backplane fails, and with which error. */
  onAway: (isAway: boolean, err: unknown) => void
}

type Part = 'append' | 'read' | 'renew'

/** Connects the missions of this process with the log, in both directions. */
export class LogLink {
  readonly outbox = new StepOutbox()
  hub: ClusterHub | undefined
  readonly #deps: LogLinkDeps
  readonly #appender: Appender
  readonly #follower: Follower
  readonly #reconciler: Reconciler
  readonly #recent: RecentEndings
  readonly #restatements: Restatements
  readonly #duties: Duties
  readonly #leases: LeaseRenewal
  readonly #uncertain: UncertainBatch
  readonly #acked = new AckedBatches()
  /** The epochs so far: one that comes back is that of a log that was restored from before its end. */
  readonly #epochs = new Set<string>()
  readonly #failing = new Set<Part>()
  readonly #repair: Repair
  #onReady!: () => void
  readonly #ready = new Promise<void>((resolve) => { this.#onReady = resolve })

  constructor (deps: LogLinkDeps) {
    this.#deps = deps
    const append = (step: PendingStep) => this.append(step)
    this.#recent = new RecentEndings(deps.clock)
    this.#reconciler = new Reconciler({
      ...deps,
      tell: (mission) => append(createMissionStep(mission, undefined)),
      resend: (mission) => append(createRestatement(mission))
    })
    this.#restatements = new Restatements({ ...deps, reconciler: this.#reconciler, append })
    this.#duties = new Duties({ ...deps, append })
    const reportState = (part: Part) => (err: unknown) => this.#setState(part, err)
    this.#leases = new LeaseRenewal({
      ...deps,
      onRenewed: () => {
        this.#recent.confirmed()
        this.#duties.perform()
      },
      onFenced: () => { this.#uncertain.suspend(deps.membership.instance.id) },
      onRejoined: ({ position }) => this.#uncertain.joined(position.sequence),
      onState: reportState('renew')
    })
    this.#appender = new Appender({
      ...deps,
      outbox: this.outbox,
      acked: this.#acked,
      own: deps.feed.own,
      onVerdicts: (steps, verdicts) => {
        this.#reconciler.judged(steps, verdicts)
        const dropped = this.outbox.length === 0 ? this.outbox.takeDropped() : undefined
        if (dropped !== undefined) this.#restatements.afterDrop(dropped)
      },
      onFenced: () => this.#leases.rejoin(),
      onState: reportState('append')
    })
    this.#follower = new Follower({
      ...deps,
      acked: this.#acked,
      load: async () => await this.#load(),
      onLoaded: (cause) => this.#loaded(cause),
      onBatch: (batch) => this.#follow(batch),
      onState: reportState('read')
    })
    this.#uncertain = new UncertainBatch({
      picture: deps.picture,
      appender: this.#appender,
      reconciler: this.#reconciler,
      outbox: this.outbox,
      restatements: this.#restatements
    })
    this.#repair = new Repair({ ...deps, onRepaired: () => this.#restartHub('epoch_changed') })
    this.#listen()
  }

  /** The steps that were not appended yet. */
  get waiting (): number { return this.outbox.length + this.#sending.length }

  get #sending (): readonly PendingStep[] { return this.#appender.sending?.steps ?? [] }

  get hasLease (): boolean { return this.#leases.isHeld }

  /** Joins, and resolves once everything is known. */
  async start (): Promise<void> {
    const running = this.#follower.run().catch((err: unknown) => {
      this.#setState('read', err)
      throw err
    })
    await Promise.race([this.#ready, running])
  }

  append (step: PendingStep): void {
    this.outbox.put(step)
    if (step.mission !== undefined) this.#reconciler.sent(step.mission)
    this.#appender.schedule()
  }

  /** Resolves when everything so far was appended. */
  async idle (): Promise<void> {
    await this.#appender.idle()
  }

  close (): void {
    this.#leases.close()
    this.#appender.close()
    this.#follower.close()
    this.#repair.stop()
    this.#onReady()
  }

  #listen (): void {
    const { registry, picture } = this.#deps
    registry.updates.onUpdate((update, mission) => {
      this.append(createMissionStep(mission, update))
      if (mission.isTerminal) this.#recent.put(mission)
    })
    registry.onRun((mission) => {
      // A start that was not sent yet will say so itself.
      const isKnown = picture.find(mission.id)?.attempt === mission.attempt
      const isSending = this.#sending.some((step) => step.mission === mission)
      if (mission.isTracked && (isKnown || isSending)) this.append(createMissionStep(mission, undefined))
    })
  }

  async #load (): Promise<void> {
    const { log, membership, picture, registry } = this.#deps
    let joined = await log.join(membership.instance)
    const { epoch } = joined.position
    if (epoch !== picture.position.epoch && this.#epochs.has(epoch)) {
      await log.restart(epoch)
      joined = await log.join(membership.instance)
    }
    this.#epochs.add(joined.position.epoch)
    registry.queries.cursors.share(joined.secret)
    const loaded = await loadPicture(log, joined, picture)
    const before = picture.all()
    picture.load(loaded)
    this.#repair.compare(before)
  }

  #loaded (cause: ReloadCause | undefined): void {
    const { onJoined } = this.#deps
    if (cause === 'epoch_changed') {
      // Their owners may be dead, and their outcome must not be decided again.
      for (const mission of this.#repair.endings()) this.append(createKnownEnding(mission))
      this.#repair.begin()
    } else {
      this.#repair.stop()
      this.#restartHub(cause ?? 'epoch_changed')
    }
    this.#acked.skip()
    const uncertain = this.#uncertain.drop()
    const ended = this.#recent.take()
    this.#reconciler.reload([...this.#sending, ...this.outbox.steps()], cause !== 'trimmed')
    if (cause === undefined) {
      this.#leases.start()
      this.#appender.open()
      onJoined()
      this.#onReady()
    }
    const local = cause === 'trimmed' ? [] : this.#deps.registry.index.local.values()
    this.#restatements.afterLoss(new Set([...ended, ...uncertain, ...local]))
    this.#uncertain.followed()
  }

  #restartHub (cause: ReloadCause): void {
    const { picture, feed } = this.#deps
    // Not earlier: more missions may have ended until the log was read to its end.
    feed.load(picture.readEnded())
    this.hub?.restart(picture.position.epoch, cause)
  }

  #follow (batch: LogBatch): void {
    const { picture, feed, missions, membership } = this.#deps
    const changes = picture.apply(batch)
    if (!this.#repair.isRunning) {
      feed.publish(changes)
      for (const { entry, at } of changes) if (entry.kind === 'publication') this.#published(entry, at)
    }
    this.#reconciler.follow(batch, changes)
    if (batch.instance === membership.instance.id) this.#acked.seen(batch.number)
    this.#uncertain.followed()
    this.#repair.followed()
    missions.notify(changes)
  }

  #published (entry: PublicationEntry, at: number): void {
    const { picture, alerts } = this.#deps
    if (entry.update !== '') {
      if (!alerts.published.publish(entry, at)) this.hub?.publish(entry, at)
    } else if (entry.retain === undefined) this.hub?.restart(picture.position.epoch, 'overflow')
  }

  #setState (part: Part, err: unknown): void {
    if (err === undefined) this.#failing.delete(part)
    else this.#failing.add(part)
    this.#deps.onAway(this.#failing.size > 0, err)
  }
}
