import { createUnifiedId } from '../base/clock.js'
import { Closing, MissionEnded, TooManyMissions } from '../base/errors.js'
import { UNNAMED } from './input/init.js'
import { readSafely } from './payload/json-copy.js'
import type { MissionStateDeps } from './state/deps.js'
import { MissionState } from './state/mission-state.js'
import { Totals, type UntrackedReason } from './totals.js'

export interface UntrackedDeps {
  /** What the missions of the registry share. */
  shared: MissionStateDeps<MissionState>
  /** The tracked missions that were started as children of this id. */
  childrenOf: (id: string) => MissionState[]
  /** Called for the first mission of each reason. */
  onUntracked: (reason: UntrackedReason, err: unknown) => void
}

const MAX_ID_CHARACTERS = 256

const ignore = (): void => {}

/**
 * Missions for functions that must run although the registry cannot hold their mission. They work like any other, but
 * are not counted, and nobody sees them.
 */
export class Untracked {
  readonly #shared: MissionStateDeps<MissionState>
  readonly #deps: MissionStateDeps<MissionState>
  readonly #onUntracked: UntrackedDeps['onUntracked']

  constructor ({ shared, childrenOf, onUntracked }: UntrackedDeps) {
    const { registry } = shared
    this.#shared = shared
    this.#onUntracked = onUntracked
    const uncounted = new Totals()
    this.#deps = {
      ...shared,
      totals: () => uncounted,
      updates: { isObserved: () => false, changed: ignore, followed: ignore, flush: ignore },
      registry: {
        ...registry,
        linked: () => false,
        cancelRequested: ({ id }) => childrenOf(id),
        ended () {},
        settled () {},
        extendTimeout () {},
        isShared: () => false,
        forwardCancel: () => false
      }
    }
  }

  /** A mission for the function that was passed with `init`; `err` is why the registry has refused it. */
  create (init: unknown, err: unknown): MissionState {
    const reason = reasonOf(err)
    if (this.#shared.totals(null).untracked(reason) === 1) this.#onUntracked(reason, err)
    const id = textOf(init, 'id')
    const name = typeof init === 'string' ? init : textOf(init, 'name')
    const mission = new MissionState(this.#deps, {
      id: id === '' || id.length > MAX_ID_CHARACTERS ? createUnifiedId('mission') : id,
      number: 0,
      attempt: 1,
      init: { name: this.#deps.cuts.cut('name', name, MAX_ID_CHARACTERS) || UNNAMED },
      isTracked: false,
      previous: undefined,
      lastSeq: 0,
      ended: 0
    })
    if (reason === 'closing') mission.requestCancel('shutdown', { reason: 'The service is closing' })
    return mission
  }
}

function reasonOf (err: unknown): UntrackedReason {
  if (err instanceof TooManyMissions) return 'full'
  if (err instanceof Closing) return 'closing'
  return err instanceof MissionEnded ? 'ended' : 'invalid'
}

function textOf (init: unknown, property: string): string {
  const value = readSafely(init, property)
  return typeof value === 'string' ? value : ''
}
