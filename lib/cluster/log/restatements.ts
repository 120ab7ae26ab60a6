import { toMissionCopy, type MissionState, type SharedMission } from '../../missions/index.js'
import type { Picture } from '../picture/picture.js'
import type { Reconciler } from '../reconciler.js'
import type { Dropped } from './outbox.js'
import { createPublication, createRestatement, type PendingStep } from './steps.js'

export interface RestatementsDeps {
  picture: Picture
  reconciler: Reconciler
  append: (step: PendingStep) => void
}

/** Tells the present state of missions of which steps were lost. */
export class Restatements {
  readonly #deps: RestatementsDeps

  constructor (deps: RestatementsDeps) {
    this.#deps = deps
  }

  /** The log may have lost steps of these missions. */
  afterLoss (missions: Iterable<MissionState>): void {
    for (const mission of missions) this.#compare(mission)
  }

  /** Steps were dropped before they were sent. */
  afterDrop ({ missions, isGap }: Dropped): void {
    const { reconciler, append } = this.#deps
    for (const mission of missions) {
      reconciler.forget(mission)
      append(createRestatement(mission))
    }
    if (!isGap) return
    append(createPublication({ channel: 'mission_update', tenant: undefined, isReliable: false, payload: undefined }))
  }

  #compare (mission: MissionState): void {
    const { picture, reconciler, append } = this.#deps
    if (reconciler.isPending(mission)) return
    const known = picture.find(mission.id)
    if (known !== undefined && (known.attempt > mission.attempt || hasEnded(known, mission))) return
    if (known !== undefined && isSame(known, mission)) mission.renumber(known.seq)
    else append(createRestatement(mission))
  }
}

// A step may be stored with a later state, because the state is read when the step is sent.
const isSame = (known: SharedMission, mission: MissionState): boolean =>
  known.status === mission.status && known.hasState(JSON.stringify(toMissionCopy(mission, mission.isTerminal)))

const hasEnded = (known: SharedMission, { attempt }: MissionState): boolean =>
  known.attempt === attempt && known.isTerminal
