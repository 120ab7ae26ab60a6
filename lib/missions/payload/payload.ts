import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { MissionError } from '../../../schemas/mission.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import { callSync } from '../../base/promises.js'
import type { CheckedDetails, MissionStep } from '../types.js'
import { copyError } from './error-copy.js'
import { copyJson, PREVIEW_CHARACTERS, UNSERIALIZABLE, type Truncated } from './json-copy.js'
import { cutBytesVisibly, cutCharacters } from './text.js'
import { LARGE_PARTS } from './update.js'

type MissionOptions = ResolvedOptions['missions']
type SerializerName = keyof MissionOptions['serializers']

/** Room for the envelope around a payload; the name and the version of the server are most of it. */
const ENVELOPE_BYTES = 3_072
/** Entries of `tasksSummary` that are sent; the number of further entries is sent as a count. */
const MAX_INLINE_TASKS = 5
/** One entry of `tasksSummary` may take this fraction of `maxInlineBytes`. */
const TASK_FRACTION = 32
/** A whole message may be this many times `maxInlineBytes`: room for the plan and for everything else. */
const MESSAGE_FACTOR = 2
/** UTF-8 size of the longest objective that a serializer may return. */
const MAX_OBJECTIVE_BYTES = 8_192

/**
 * Turns values of the host into what watchers receive: the host's serializers first, then the size limits. Never
 * throws; a value that cannot be shown becomes a placeholder.
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
    return typeof shown === 'string' ? cutBytesVisibly(shown, MAX_OBJECTIVE_BYTES) : '[unserializable]'
  }

  /** Merges `added` into `known`. A value that cannot be read becomes a placeholder and removes nothing. */
  metadata (known: unknown, added: unknown): unknown {
    const { maxMetadataBytes } = this.#options
    if (known === null) return asRecord(copyJson(added, maxMetadataBytes))
    const copy = copyJson(added, Infinity)
    return copyJson({ ...asRecord(known), ...asRecord(copy) }, maxMetadataBytes)
  }

  /** The details of a report as watchers receive them. */
  details ({ tasksSummary, planningSession }: CheckedDetails): MissionStep {
    const shown: MissionStep = {}
    if (tasksSummary !== undefined) shown.tasksSummary = this.#tasks(tasksSummary)
    if (planningSession !== undefined) shown.planningSession = this.#plan(planningSession)
    return shown
  }

  /** Cuts the parts of an update that can be large until it fits into one message. Changes `update`. */
  fit (update: MissionUpdate): void {
    for (const part of LARGE_PARTS) {
      if (update[part] === undefined) continue
      const bytes = Buffer.byteLength(JSON.stringify(update))
      if (bytes <= MESSAGE_FACTOR * this.#options.maxInlineBytes - ENVELOPE_BYTES) return
      const text = JSON.stringify(update[part])
      const preview = cutCharacters(text, PREVIEW_CHARACTERS)
      update[part] = { truncated: true, bytes: Buffer.byteLength(text), preview } satisfies Truncated
    }
  }

  #plan (plan: unknown): unknown {
    return copyJson(this.#serialize('planningSession', plan), this.#options.maxInlineBytes)
  }

  #tasks (tasks: unknown): unknown {
    const maxTaskBytes = this.#options.maxInlineBytes / TASK_FRACTION
    const snapshot = (task: unknown) => copyJson(this.#serialize('task', task), maxTaskBytes)
    if (!Array.isArray(tasks)) return snapshot(tasks)
    const inline = tasks.slice(0, MAX_INLINE_TASKS).map(snapshot)
    const omitted = tasks.length - inline.length
    return omitted > 0 ? [...inline, { truncated: true, count: omitted }] : inline
  }

  // Errors of a serializer go to the host's log, never to watchers.
  #serialize (name: SerializerName, value: unknown): unknown {
    const serializer = this.#options.serializers[name]
    if (serializer === undefined) return value
    try {
      return callSync(() => serializer(value))
    } catch (err) {
      this.#onCallbackError(`serializer.${name}`, err)
      return UNSERIALIZABLE
    }
  }
}

const asRecord = (value: unknown): object => typeof value === 'object' && value !== null ? value : {}
