import type { ClientMissionState } from '../../../client/index.js'
import type {
  CancelState,
  MissionAttempt,
  MissionNote,
  MissionStatus,
  MissionView,
  Progress
} from '../../../../schemas/mission.js'

export type Phase = 'active' | 'completed' | 'cancelled' | 'error'

/** The state of one mission, apart from its progress. Times are in ms since 1970. */
export interface Mission {
  readonly id: string
  readonly name: string
  readonly status: MissionStatus
  readonly phase: Phase
  readonly attempt: number
  readonly tags: readonly string[]
  /** The number of tags that the service has left out. */
  readonly tagsOmitted: number
  readonly parentId: string | undefined
  readonly objective: string | undefined
  readonly queuedAt: number | undefined
  readonly startedAt: number
  readonly endedAt: number | undefined
  readonly durationMs: number | undefined
  readonly error: string | undefined
  readonly errorCode: string | undefined
  readonly errorCauses: readonly string[]
  readonly cancel: CancelState | undefined
  readonly isStalled: boolean
  readonly waiting: string | undefined
  readonly metadata: unknown
  readonly plan: unknown
  readonly notes: readonly MissionNote[]
  readonly attempts: readonly MissionAttempt[]
  readonly tenant: string | undefined
  /** The process that runs it, if there are several. */
  readonly instance: string | undefined
}

const ENDINGS: ReadonlySet<string> = new Set(['completed', 'cancelled', 'error'])

export const phaseOf = (status: MissionStatus): Phase => (ENDINGS.has(status) ? (status as Phase) : 'active')

/** Merges the client's state of a mission into the page's state of it. */
export function fromState (state: ClientMissionState, known: Mission | undefined, nowMs: number): Mission {
  const { note, notes, attempts, attempt = 1 } = state
  const same = known?.attempt === attempt ? known : undefined
  return {
    id: state.missionId,
    name: state.name,
    status: state.status,
    phase: phaseOf(state.status),
    attempt,
    tags: state.tags ?? [],
    tagsOmitted: state.tagsOmitted ?? 0,
    parentId: state.parentId ?? same?.parentId,
    objective: state.objective ?? same?.objective,
    queuedAt: state.queuedAt ?? same?.queuedAt,
    startedAt: state.startedAt ?? same?.startedAt ?? nowMs,
    endedAt: state.endedAt,
    durationMs: state.durationMs,
    error: state.error,
    errorCode: state.errorCode,
    errorCauses: state.errorCauses ?? [],
    cancel: state.cancel,
    isStalled: state.stalled === true,
    waiting: state.waiting,
    metadata: state.metadata ?? same?.metadata,
    plan: state.planningSession ?? same?.plan,
    notes: notes ?? withNote(known?.notes ?? [], note),
    attempts: attempts ?? known?.attempts ?? [],
    instance: state.instance ?? same?.instance,
    tenant: state.tenant ?? same?.tenant
  }
}

// The client merges updates, so that a note stays in the state until the next one.
function withNote (notes: readonly MissionNote[], note: MissionNote | undefined): readonly MissionNote[] {
  if (note === undefined || notes.some(({ at, text }) => at === note.at && text === note.text)) return notes
  return [...notes, note].slice(-20)
}

/** A mission as a list of the service shows it. */
export function fromView (view: MissionView): Mission {
  return {
    id: view.id,
    name: view.name,
    status: view.status,
    phase: phaseOf(view.status),
    attempt: view.attempt,
    tags: view.tags,
    tagsOmitted: view.tagsOmitted,
    parentId: view.parentId ?? undefined,
    objective: view.objective ?? undefined,
    queuedAt: view.queuedAt ?? undefined,
    startedAt: view.startedAt,
    endedAt: view.endedAt ?? undefined,
    durationMs: view.durationMs ?? undefined,
    error: view.error?.message,
    errorCode: view.error?.code,
    errorCauses: view.error?.causes ?? [],
    cancel: view.cancel ?? undefined,
    isStalled: view.stalled,
    waiting: view.waiting ?? undefined,
    metadata: view.metadata ?? undefined,
    plan: undefined,
    notes: view.notes,
    attempts: view.attempts,
    instance: view.instance ?? undefined,
    tenant: view.tenant ?? undefined
  }
}

/** How long a mission has run, or did run, in ms. */
export const elapsedMs = ({ startedAt, endedAt, durationMs }: Mission, nowMs: number): number =>
  durationMs ?? Math.max(0, (endedAt ?? nowMs) - startedAt)

/** How much of a mission is done, from 0 to 1; `undefined` if that is unknown. */
export function fractionOf (progress: Progress | undefined): number | undefined {
  if (progress === undefined) return undefined
  const { fraction, index, total, status } = progress
  if (fraction !== undefined) return fraction
  if (total <= 1) return undefined
  return Math.min(1, (status === 'completed' ? index : index - 1) / total)
}
