import type { CancelKind } from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import type { Unsubscribe } from '../../base/events.js'
import type { Mission } from '../mission.js'
import type { Payloads } from '../payload/payload.js'
import type { Totals } from '../totals.js'
import type { CancelRequest, ChildInit, MissionLog, MissionOutcome, MissionStep, TextCuts } from '../types.js'

/** What all missions of one registry share. Every call is synchronous. */
export interface MissionStateDeps<State> {
  clock: Clock
  /** The counts that a change of a mission of this tenant is added to. */
  totals (tenant: string | null): Totals
  cuts: TextCuts
  payloads: Payloads
  updates: {
    /** Whether anybody receives the updates of a mission. */
    isObserved (state: State): boolean
    /** A change is complete. `isReplaceable`: a newer change of the same kind may take its place before it is sent. */
    changed (state: State, step: MissionStep, isReplaceable: boolean): void
    /** A change of another process was taken over. `hasEnded`: a mission of this process has ended by it. */
    followed (state: State, hasEnded: boolean): void
    /** Emits what the progress limit still holds back. */
    flush (state: State): void
  }
  registry: {
    startChild (parent: State, init: ChildInit): State
    /** Starts the attempt after this one. */
    retry (state: State): State
    /** @throws FST_MC_INVALID_PARENT */
    checkParent (state: State, parentId: string): void
    /** The mission has got a parent. Returns whether that parent was asked to end. */
    linked (state: State, parentId: string): boolean
    /** Starts the grace period and returns the active children, which are asked to end next. */
    cancelRequested (state: State, kind: CancelKind): State[]
    ended (state: State, outcome: MissionOutcome): void
    /** The update with its ending was built, so that nothing of it changes any more. */
    settled (state: State): void
    extendTimeout (state: State, ms: number): void
    isClosed (): boolean
    /** Calls `listener` once the registry is closed. */
    onClosed (listener: () => void): Unsubscribe
    /** Whether endings are stored elsewhere too, and count as stored only then. */
    isShared (): boolean
    /** Passes a cancel request on to the process that runs the mission; returns `false` if it is this one. */
    forwardCancel (state: State, kind: CancelKind, request: CancelRequest): boolean
    /** Whether another process that is alive owns the mission. */
    isOwnedElsewhere (state: State): boolean
    /** The mission has ended as another process has reported it; `before` is the ending that it had here. */
    endedElsewhere (state: State, outcome: MissionOutcome, before: MissionOutcome | undefined): void
  }
  createHandle (state: State): Mission
  makeLog (id: string): MissionLog
  onListenerError (err: unknown): void
}
