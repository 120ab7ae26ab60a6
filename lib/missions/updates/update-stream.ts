import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { Clock } from '../../base/clock.js'
import { Events, type Unsubscribe } from '../../base/events.js'
import type { AckGate } from '../commands/ack-gate.js'
import type { DeadlineQueue } from '../lifetime/deadline-queue.js'
import type { MissionState } from '../state/mission-state.js'
import type { MissionStep } from '../types.js'
import type { Payloads } from '../payload/payload.js'
import { hasLargeParts, toUpdate } from '../payload/update.js'
import { ProgressThrottle } from './progress-throttle.js'

/** The events of the stream. `ended` has no update if nobody received updates when the mission ended. */
type StreamEvents = {
  update: [update: MissionUpdate, mission: MissionState]
  ended: [mission: MissionState, update: MissionUpdate | undefined]
  changed: [mission: MissionState]
}

interface Emission { mission: MissionState, update: MissionUpdate | undefined }

export interface UpdateStreamDeps {
  clock: Clock
  deadlines: DeadlineQueue
  payloads: Payloads
  ackGate: AckGate
  /** Minimum time between two replaceable updates of one mission, in ms. */
  minIntervalMs: number
  onListenerError: (err: unknown) => void
}

/**
 * Turns the changes of missions into updates and emits them.
 *
 * Promises: the updates of one mission are emitted in the order of their changes. Reliable changes are emitted at once,
 * replaceable ones (progress, notes) at a limited rate, the newest wins, and what is still delayed is emitted before
 * the ending. `ended` is emitted once per mission, after its last update. Updates of a mission that a client started
 * wait for the ack. An update that a listener causes is emitted after the one it was called for. Nothing is built while
 * nobody listens.
 */
export class UpdateStream {
  readonly #deps: UpdateStreamDeps
  readonly #events: Events<StreamEvents>
  readonly #throttle: ProgressThrottle
  /** The listeners of the updates of one tenant. */
  readonly #tenants = new Map<string, Events<StreamEvents>>()
  readonly #queue: Emission[] = []
  #isEmitting = false
  #updateListeners = 0
  #changeListeners = 0

  constructor (deps: UpdateStreamDeps) {
    const { clock, deadlines, minIntervalMs, onListenerError } = deps
    this.#deps = deps
    this.#events = new Events(onListenerError)
    this.#throttle = new ProgressThrottle({ clock, deadlines, minIntervalMs, onDue: (mission) => this.flush(mission) })
  }

  /** Takes a complete change; `isReplaceable`: a newer change may take its place before it is emitted. */
  changed (mission: MissionState, step: MissionStep, isReplaceable: boolean): void {
    this.#take(mission, step, isReplaceable)
    if (this.#changeListeners > 0) this.#events.emit('changed', mission)
  }

  /**
   * Another process has changed the mission: those who follow it here learn of it, but no update is emitted.
   * `hasEnded`: a mission of this process has ended.
   */
  followed (mission: MissionState, hasEnded: boolean): void {
    if (mission.outcome !== undefined) this.#throttle.forget(mission)
    if (hasEnded) this.#enqueue(mission, undefined)
    if (this.#changeListeners > 0) this.#events.emit('changed', mission)
  }

  /** Emits the delayed step of a mission; to be called before the mission ends, while it still is as it was. */
  flush (mission: MissionState): void {
    const step = this.#throttle.take(mission)
    if (step === undefined || !this.isObserved(mission)) return
    this.#throttle.restart(mission)
    this.#emit(mission, step)
  }

  /** Calls `listener` with every update; with a tenant, with those of its missions alone. */
  onUpdate (listener: (update: MissionUpdate, mission: MissionState) => void, tenant?: string): Unsubscribe {
    if (tenant === undefined) return this.#listen('update', listener)
    const events = this.#tenants.get(tenant) ?? new Events<StreamEvents>(this.#deps.onListenerError)
    this.#tenants.set(tenant, events)
    const unsubscribe = events.on('update', listener)
    return () => {
      unsubscribe()
      if (events.count('update') === 0 && this.#tenants.get(tenant) === events) this.#tenants.delete(tenant)
    }
  }

  /** Calls `listener` at every ending, after all update listeners. */
  onEnded (listener: (mission: MissionState, update: MissionUpdate | undefined) => void): Unsubscribe {
    return this.#events.on('ended', listener)
  }

  /** Calls `listener` at every change, whether or not it is emitted as an update. */
  onChanged (listener: (mission: MissionState) => void): Unsubscribe {
    return this.#listen('changed', listener)
  }

  /** Drops delayed steps and removes all listeners. */
  close (): void {
    this.#throttle.close()
    this.#events.clear()
    this.#tenants.clear()
    this.#countListeners()
  }

  #listen<Name extends keyof StreamEvents> (event: Name, listener: (...args: StreamEvents[Name]) => void): Unsubscribe {
    const unsubscribe = this.#events.on(event, listener)
    this.#countListeners()
    return () => {
      unsubscribe()
      this.#countListeners()
    }
  }

  // Kept as numbers, because every report reads them.
  #countListeners (): void {
    this.#updateListeners = this.#events.count('update')
    this.#changeListeners = this.#events.count('changed')
  }

  #take (mission: MissionState, step: MissionStep, isReplaceable: boolean): void {
    if (!this.isObserved(mission)) {
      this.#throttle.forget(mission)
      if (mission.outcome !== undefined) this.#enqueue(mission, undefined)
    } else if (!isReplaceable) {
      this.#emitReliable(mission, step)
    } else if (this.#throttle.admit(mission, step)) {
      this.#emit(mission, step)
    }
  }

  /** Whether anybody receives the updates of a mission. An update that waits for an ack may have listeners by then. */
  isObserved (mission: MissionState): boolean {
    if (this.#updateListeners > 0) return true
    if (mission.tenant !== null && this.#tenants.has(mission.tenant)) return true
    return this.#deps.ackGate.heldCount > 0 && this.#deps.ackGate.isHolding(mission)
  }

  #emitReliable (mission: MissionState, step: MissionStep): void {
    const delayed = this.#throttle.take(mission)
    if (mission.outcome !== undefined) this.#throttle.forget(mission)
    else if (mission.status === 'execution_progress') this.#throttle.restart(mission)
    this.#emit(mission, delayed === undefined ? step : { ...delayed, ...step })
  }

  #emit (mission: MissionState, step: MissionStep): void {
    const { payloads, ackGate } = this.#deps
    mission.seq++
    const update = toUpdate(mission, step)
    if (hasLargeParts(update)) payloads.fit(update)
    if (ackGate.heldCount === 0) this.#enqueue(mission, update)
    else ackGate.pass(mission, () => this.#enqueue(mission, update))
  }

  // A listener may cause the next update: that waits here until all listeners have received this one.
  #enqueue (mission: MissionState, update: MissionUpdate | undefined): void {
    this.#queue.push({ mission, update })
    if (this.#isEmitting) return
    this.#isEmitting = true
    try {
      for (const next of this.#queue) this.#notify(next)
    } finally {
      this.#queue.length = 0
      this.#isEmitting = false
    }
  }

  #notify ({ mission, update }: Emission): void {
    if (update !== undefined) {
      this.#events.emit('update', update, mission)
      if (mission.tenant !== null) this.#tenants.get(mission.tenant)?.emit('update', update, mission)
    }
    if (update === undefined || update.endedAt !== undefined) this.#events.emit('ended', mission, update)
  }
}
