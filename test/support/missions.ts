import type { Timer } from '../../lib/base/clock.js'
import { createVirtualClock, type VirtualClock } from '../../lib/base/virtual-clock.js'
import { isTerminal } from '../../schemas/mission.js'
import { createMissions, MissionRegistry, type MissionLog, type Missions } from '../../lib/missions/index.js'
import { resolveOptions } from '../../lib/base/options.js'
import { compile } from '../../lib/base/validation.js'
import { MissionUpdate, type OptionsInput } from '../../schemas/index.js'

/** A virtual clock that counts its running timers. */
export interface CountingClock extends VirtualClock {
  readonly running: number
  /** The highest value of `running` so far. */
  readonly mostRunning: number
}

/** A registry on a virtual clock, with the updates it emitted and the listener errors it caught. */
export interface Stand {
  clock: CountingClock
  registry: MissionRegistry
  /** The facade that hosts get. */
  missions: Missions
  updates: MissionUpdate[]
  failures: Array<[where: string, err: unknown]>
  /** The ids that loggers were created for. */
  logged: string[]
  /** The reasons of untracked missions that were logged, with the code of the refusal. */
  untracked: Array<[reason: string, code: string]>
  /** The updates of one mission. */
  updatesOf: (id: string) => MissionUpdate[]
}

const NO_LOG: MissionLog = { trace () {}, debug () {}, info () {}, warn () {}, error () {} }
const validateUpdate = compile(MissionUpdate)

export function createCountingClock (startMs = 0): CountingClock {
  const clock = createVirtualClock(startMs)
  const running = new Set<Timer>()
  let mostRunning = 0
  return {
    ...clock,
    get running () { return running.size },
    get mostRunning () { return mostRunning },
    after (ms, run) {
      const inner = clock.after(ms, () => {
        running.delete(timer)
        run()
      })
      const timer = {
        cancel () {
          running.delete(timer)
          inner.cancel()
        }
      }
      running.add(timer)
      mostRunning = Math.max(mostRunning, running.size)
      return timer
    }
  }
}

/** Creates a registry; its updates are kept, unless `isQuiet`, which adds no listener. */
export function build (options: NonNullable<OptionsInput['missions']> = {}, { isQuiet = false, hidesUnknownParents = false } = {}): Stand {
  const clock = createCountingClock(Date.UTC(2026, 0, 1))
  const failures: Stand['failures'] = []
  const logged: string[] = []
  const untracked: Array<[reason: string, code: string]> = []
  const registry = new MissionRegistry({
    clock,
    options: resolveOptions({ missions: options }, {}).missions,
    endedIds: { max: 10_000, maxAgeMs: 86_400_000 },
    hidesUnknownParents,
    onUntracked: (reason, err) => { untracked.push([reason, (err as { code: string }).code]) },
    onCallbackError: (where, err) => { failures.push([where, err]) },
    makeLog (id) {
      logged.push(id)
      return NO_LOG
    }
  })
  const missions = createMissions(registry)
  const updates: MissionUpdate[] = []
  if (!isQuiet) missions.on('mission_update', (update) => { updates.push(update) })
  const updatesOf = (id: string) => updates.filter(({ missionId }) => missionId === id)
  return { clock, registry, missions, updates, failures, logged, untracked, updatesOf }
}

/** Returns every breach of the promises of an update stream: valid payloads, sequence without gaps, nothing after an ending. */
export function findStreamFaults (updates: readonly MissionUpdate[]): string[] {
  const faults: string[] = []
  const known = new Map<string, { attempt: number, seq: number, ending?: string }>()
  for (const update of updates) {
    const { missionId, seq, status, attempt = 1 } = update
    const state = known.get(missionId) ?? { attempt, seq: 0 }
    known.set(missionId, state)
    if (attempt !== state.attempt) {
      if (attempt < state.attempt || state.ending === undefined) faults.push(`${missionId}: attempt ${attempt} after ${state.attempt}`)
      state.attempt = attempt
      delete state.ending
    }
    if (!validateUpdate(update)) faults.push(`${missionId}: not a mission_update, ${JSON.stringify(validateUpdate.errors)}`)
    if (seq !== state.seq + 1) faults.push(`${missionId}: ${seq} after ${state.seq}`)
    if (state.ending !== undefined) faults.push(`${missionId}: ${status} after ${state.ending}`)
    state.seq = seq
    if (isTerminal(status)) state.ending = status
  }
  return faults
}

/** Waits one turn of the event loop, so that settled promises are handled. */
export const settle = async (): Promise<void> => { await new Promise((resolve) => { setImmediate(resolve) }) }

/** A promise with the functions that settle it. */
export interface Deferred<T = void> { promise: Promise<T>, resolve: (value: T) => void, reject: (err: unknown) => void }

export function defer<T = void> (): Deferred<T> {
  let resolve: Deferred<T>['resolve'] = () => {}
  let reject: Deferred<T>['reject'] = () => {}
  const promise = new Promise<T>((_resolve, _reject) => {
    resolve = _resolve
    reject = _reject
  })
  return { promise, resolve, reject }
}
