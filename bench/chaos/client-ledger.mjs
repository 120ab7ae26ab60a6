// What one client has received, and whether it was told correctly.
import { machineMs } from '../fanout/processes.mjs'

const STATUSES = [
  'planning_started', 'tasks_generated', 'planned', 'execution_started', 'execution_progress', 'completed', 'cancelled',
  'error'
]
const RANK = new Map(STATUSES.map((status, rank) => [status, Math.min(rank, 5)]))

export const isTerminal = (status) => RANK.get(status) === 5

const CHANNEL = 'mission_update'

export class ClientLedger {
  /** The status of each ending by id and attempt, as it was told first. */
  endings = new Map()
  /** What was told wrongly: `kind` is `twice`, `order` or `hole`. */
  faults = []
  /** When messages were missing and the client was told so. */
  gaps = []
  /** When the client has continued where it was cut. */
  resumes = []
  /** Endings that were told again with the same status, after the log had lost entries. */
  restated = 0
  since
  #position
  #epochAt = 0
  #remaining = 0
  #last = new Map()
  /** The states of a snapshot: replayed messages may follow them, which are older. */
  #states = []

  receive ({ type, id, payload, position, heads }) {
    if (type === 'subscription_ack' && payload.channel === CHANNEL) this.#subscribed(payload)
    else if (type === 'subscription_gap' && payload.channel === CHANNEL) this.#lost(payload.cause, payload)
    else if (type === 'heartbeat') this.#compare(heads?.[CHANNEL])
    else if (type === CHANNEL) this.#update(id, payload, position)
  }

  #subscribed ({ outcome, gap, asOf, messages = 0 }) {
    this.since ??= machineMs()
    if (outcome === undefined) return
    if (outcome === 'gap') return this.#lost(gap.cause, { asOf, messages })
    this.#remaining = messages
    if (outcome === 'resumed') this.resumes.push(machineMs())
    else this.#begin(asOf)
  }

  #lost (cause, { asOf, messages = 0 }) {
    this.gaps.push({ at: machineMs(), cause })
    this.#remaining = messages
    this.#begin(asOf)
  }

  #begin (asOf) {
    if (asOf?.epoch !== this.#position?.epoch) this.#epochAt = machineMs()
    this.#position = asOf
    this.#last.clear()
  }

  // All messages up to the head were sent before it.
  #compare (head) {
    if (head === undefined || this.#position === undefined || this.#remaining > 0) return
    if (head.epoch !== this.#position.epoch || head.offset > this.#position.offset) {
      this.#blame('hole', `head ${head.epoch} ${head.offset} at ${this.#position.epoch} ${this.#position.offset}`)
      this.#position = head
    }
  }

  #update (id, payload, position) {
    const { missionId, attempt = 1, status, seq, snapshot } = payload
    const state = { attempt, seq, status, isReliable: position !== undefined }
    if (snapshot) this.#states.push([missionId, state])
    else this.#changed(missionId, state, position)
    if (isTerminal(status)) this.#ended(`${missionId} ${attempt}`, { id, status, snapshot, missionId })
    if (this.#remaining > 0) this.#remaining--
    if (this.#remaining > 0) return
    for (const [known, newest] of this.#states) this.#last.set(known, newest)
    this.#states = []
  }

  #changed (missionId, state, position) {
    const { attempt, seq, status, isReliable } = state
    if (isReliable) this.#advance(position, missionId)
    const last = this.#last.get(missionId)
    this.#last.set(missionId, state)
    if (last === undefined || last.attempt !== attempt) return
    // The newest progress is sent again to a client that resumes.
    const isRepeated = seq === last.seq && !isReliable && status === last.status
    if ((seq > last.seq || isRepeated) && RANK.get(status) >= RANK.get(last.status)) return
    this.#blame('order', `${missionId} ${last.status} ${last.seq}, then ${status} ${seq}`, missionId)
  }

  #advance ({ epoch, offset }, missionId) {
    const known = this.#position
    if (known !== undefined && (known.epoch !== epoch || offset !== known.offset + 1)) {
      const kind = known.epoch === epoch && offset <= known.offset ? 'twice' : 'hole'
      this.#blame(kind, `${epoch} ${offset} after ${known.epoch} ${known.offset}`, missionId)
    }
    this.#position = { epoch, offset }
  }

  #ended (key, { id, status, snapshot, missionId }) {
    const known = this.endings.get(key)
    if (known === undefined) this.endings.set(key, { id, status, at: machineMs() })
    else if (known.status !== status) this.#blame('twice', `${key} ${known.status}, then ${status}`, missionId)
    else if (!snapshot && known.id === id) this.#blame('twice', `${key} ${status} with the same id`, missionId)
    else if (!snapshot && known.at > this.#epochAt) this.#blame('twice', `${key} ${status} with another id`, missionId)
    else if (!snapshot) this.restated++
  }

  #blame (kind, what, missionId) {
    this.faults.push({ kind, at: machineMs(), what, missionId })
  }
}
