import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { CancelState, MissionError, MissionStatus, Progress } from '../../../schemas/mission.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { MissionDetails, MissionStep } from '../types.js'
import { cutCharacters, PREVIEW_CHARACTERS, cutText, copyError, copyJson, UNSERIALIZABLE, type Truncated } from './json-copy.js'

type MissionOptions = ResolvedOptions['missions']
type SerializerName = keyof MissionOptions['serializers']

/** Room for what the wire puts around a payload; the name and the version of the server are most of it. */
const ENVELOPE_BYTES = 3_072
/** As many as the longest objective that a mission can be started with takes. */
const MAX_OBJECTIVE_BYTES = 8_192

/**
 * Turns what hosts say into what viewers see: the host's serializers first, then our bounds. Nothing in here throws;
 * what cannot be shown becomes a placeholder.
 */
export class Payloads {
  readonly #options: MissionOptions
  readonly #onCallbackError: (where: string, err: unknown) => void

  constructor (options: MissionOptions, onCallbackError: (where: string, err: unknown) => void) {
    this.#options = options
    this.#onCallbackError = onCallbackError
  }

  error (thrown: unknown): MissionError {
    return copyError(this.#serialize('error', thrown))
  }

  objective (objective: string): string {
    const shown = this.#serialize('objective', objective)
    return typeof shown === 'string' ? cutText(shown, MAX_OBJECTIVE_BYTES) : '[unserializable]'
  }

  /** `known` with what was added; what cannot be read leaves a mark, and costs nothing that was known. */
  metadata (known: unknown, added: unknown): unknown {
    const { maxMetadataBytes } = this.#options
    if (known === null) return asRecord(copyJson(added, maxMetadataBytes))
    const copy = copyJson(added, Infinity)
    return copyJson({ ...asRecord(known), ...asRecord(copy) }, maxMetadataBytes)
  }

  /** The details of a report as viewers see them. */
  details ({ tasksSummary, planningSession, ...rest }: MissionDetails): MissionDetails {
    const shown: MissionDetails = rest
    if (tasksSummary !== undefined) shown.tasksSummary = this.#tasks(tasksSummary)
    if (planningSession !== undefined) shown.planningSession = this.#plan(planningSession)
    return shown
  }

  /** The update for a change that is complete; `step` is what `details` made of it. Calls no code of the host. */
  update (mission: UpdateSource, step: MissionStep): MissionUpdate {
    const update = toUpdate(mission, step)
    const isLarge = update.planningSession !== undefined || update.tasksSummary !== undefined || update.metadata !== undefined
    return isLarge ? this.#fit(update) : update
  }

  #plan (plan: unknown): unknown {
    return copyJson(this.#serialize('planningSession', plan), this.#options.maxPlanBytes)
  }

  #tasks (tasks: unknown): unknown {
    const { maxTaskBytes, maxTasksInline } = this.#options
    const snapshot = (task: unknown) => copyJson(this.#serialize('task', task), maxTaskBytes)
    if (!Array.isArray(tasks)) return snapshot(tasks)
    const inline = tasks.slice(0, maxTasksInline).map(snapshot)
    return tasks.length > maxTasksInline ? [...inline, { truncated: true, count: tasks.length - maxTasksInline }] : inline
  }

  // What a serializer throws is the host's to see, not the viewers'.
  #serialize (name: SerializerName, value: unknown): unknown {
    const serializer = this.#options.serializers[name]
    if (serializer === undefined) return value
    try {
      return serializer(value)
    } catch (err) {
      this.#onCallbackError(`serializer.${name}`, err)
      return UNSERIALIZABLE
    }
  }

  // Only the plan, the tasks and the metadata can make a message large; all else is bounded by its schema.
  #fit (update: MissionUpdate): MissionUpdate {
    for (const part of ['planningSession', 'tasksSummary', 'metadata'] as const) {
      if (update[part] === undefined) continue
      const bytes = Buffer.byteLength(JSON.stringify(update))
      if (bytes <= this.#options.maxMessageBytes - ENVELOPE_BYTES) return update
      const text = JSON.stringify(update[part])
      update[part] = { truncated: true, bytes: Buffer.byteLength(text), preview: cutCharacters(text, PREVIEW_CHARACTERS) } satisfies Truncated
    }
    return update
  }
}

/** What an update is made from: a mission, or what is kept of one that has ended. */
export interface UpdateSource {
  readonly id: string
  readonly name: string
  readonly status: MissionStatus
  readonly seq: number
  readonly tags: readonly string[]
  readonly parentId: string | null
  readonly objective: string | null
  readonly startedAt: number
  readonly endedAt: number | null
  readonly durationMs: number | null
  readonly metadata: unknown
  readonly progress: Progress | null
  readonly error: MissionError | null
  readonly cancel: CancelState | null
  readonly isStalled: boolean
  readonly waiting: string | null
  /** The status before the terminal one. */
  readonly endedFrom: MissionStatus | undefined
}

/**
 * The one place where a mission takes its shape on the wire. Without `step` it is a snapshot: everything a subscriber
 * needs who has received no earlier update. With `step` it is one change; the first update of a mission also has what
 * never changes.
 */
export function toUpdate (mission: UpdateSource, step?: MissionStep): MissionUpdate {
  const { id, status, name, seq, tags, error, waiting, endedAt, durationMs } = mission
  const update: MissionUpdate = { missionId: id, status, name, seq }
  const previousStatus = step === undefined ? mission.endedFrom : step.previousStatus
  if (previousStatus !== undefined) update.previousStatus = previousStatus
  if (tags.length > 0) update.tags = [...tags]
  if (step === undefined || seq === 1) addIdentity(update, mission)
  if (step?.tasksSummary !== undefined) update.tasksSummary = step.tasksSummary
  if (step?.planningSession !== undefined) update.planningSession = step.planningSession
  addChanges(update, mission, step)
  if (error !== null) update.error = error
  if (mission.isStalled) update.stalled = true
  if (waiting !== null) update.waiting = waiting
  if (endedAt !== null) update.endedAt = endedAt
  if (durationMs !== null) update.durationMs = durationMs
  if (step === undefined) update.snapshot = true
  return update
}

function addIdentity (update: MissionUpdate, { startedAt, parentId, objective }: UpdateSource): void {
  update.startedAt = startedAt
  if (parentId !== null) update.parentId = parentId
  if (objective !== null) update.objective = objective
}

function addChanges (update: MissionUpdate, { metadata, progress, cancel, status, endedAt }: UpdateSource, step?: MissionStep): void {
  const isSnapshot = step === undefined
  if (metadata !== null && (isSnapshot || step.includesMetadata === true)) update.metadata = structuredClone(metadata)
  if (progress !== null && (isSnapshot || status === 'execution_progress' || step.progress !== undefined)) update.progress = { ...progress }
  if (cancel !== null && (isSnapshot || step.includesCancel === true || endedAt !== null)) update.cancel = cancel
}

const asRecord = (value: unknown): object => typeof value === 'object' && value !== null ? value : {}
