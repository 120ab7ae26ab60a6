import type { MissionStatus } from '../../schemas/mission.js'
import type { Clock } from '../base/clock.js'

/**
 * Connects the processes of one service: a shared log of everything that their missions do, leases that show which
 * processes are alive, and messages between them. `backplaneConformance` checks an implementation.
 */
export interface Backplane {
  /** How long a process may be silent before it counts as dead, in ms. */
  readonly leaseMs: number
  /**
   * Opens the log for one process. Nothing is sent before `join`. Every promise of the log may reject, with any error,
   * while the backplane is away; the caller tries again.
   */
  connect (context: BackplaneContext): SharedLog
}

export interface BackplaneContext {
  clock: Clock
  /** Called with each message that another process, or this one, has sent to this process or to all. */
  onMessage: (text: string) => void
  /** Called with errors that no promise rejects with. */
  onWarning: (err: unknown) => void
  /** Called with the number of entries that were just dropped because they are broken. */
  onDropped?: (count: number) => void
}

/**
 * A point in the log: after the entry `sequence`, which is the last one of the batch with this token. Sequences are
 * contiguous and start at 1; the position before the first entry has the sequence 0 and an empty token.
 */
export interface SharedLogPosition { readonly epoch: string, readonly sequence: number, readonly token: string }

/** A process. `id` is unique and never used again. */
export interface Instance { readonly id: string, readonly service: string }
/**
 * The shared log as one process sees it.
 *
 * Promises: all processes read the same entries in the same order. A batch is appended as a whole or not at all, and
 * once, even if `append` is called again with its number because the answer got lost. `decide` is applied to each step
 * when it is appended, with the state at that moment. Nothing is stored without a bound or a time limit.
 */
export interface SharedLog {
  /**
   * Takes a lease for a process. A log that does not exist yet is created with a random epoch.
   *
   * @throws FST_MC_BACKPLANE_INCOMPATIBLE if processes of another format use the log
   */
  join (instance: Instance): Promise<Joined>
  /**
   * Every stored mission, in any order. A mission that changes meanwhile is returned in its state before or after, or
   * twice: compare `sequence`.
   */
  states (): AsyncIterable<readonly StoredMission[]>
  /** The reliable entries that are kept for clients that resume, oldest first. */
  history (): Promise<readonly LogBatch[]>
  /**
   * The batches after a position, oldest first; an empty list if there are none within `waitMs`. `trimmed`: some of
   * them are no longer kept. `diverged`: the log does not contain this position any more, because it has lost entries
   * or has a new epoch.
   */
  read (after: SharedLogPosition, waitMs: number): Promise<ReadResult>
  /**
   * Appends steps in their order. `number` counts the batches of this instance from 1. `fenced`: the lease of the
   * instance has lapsed and another process has taken note of it, so nothing was appended, and nothing ever will be.
   */
  append (batch: AppendBatch): Promise<AppendResult>
  /**
   * Renews the lease and returns what this process must know of the others. A lease that has lapsed is renewed unless
   * another process has fenced the instance.
   */
  renew (position: SharedLogPosition): Promise<RenewResult>
  /** Forgets ended missions. A mission that is active, or whose last entry is newer than `sequence`, is kept. */
  remove (missions: ReadonlyArray<{ readonly id: string, readonly sequence: number }>): Promise<void>
  /** Sends a message to the instance with this id, or to all, the own included. It is not stored and may get lost. */
  send (to: string | undefined, text: string): Promise<void>
  /**
   * Gives the log another random epoch and clears its history, unless it does not have this epoch any more. States,
   * sequences and offsets go on.
   */
  restart (epoch: string): Promise<void>
  /** Gives the lease back: the missions that ran in this process count as lost at once. */
  leave (): Promise<void>
  /** Ends all that waits, and closes what `connect` has opened. Promises that are open may reject. */
  close (): Promise<void>
}

export interface Joined {
  /** The last position. */
  readonly position: SharedLogPosition
  /** The counts at this position. */
  readonly counts: readonly StoredCounts[]
  /** The last offset of each channel and tenant at this position, and the id of its message. */
  readonly heads: readonly StoredHead[]
  /** The retained values at this position or later, by key. */
  readonly retained: ReadonlyArray<readonly [key: string, value: string]>
  /** A random text that is the same for all processes of the log, and unknown to clients. */
  readonly secret: string
}

/** How many missions are active and how many have ended; `tenant` is `null` for all missions together. */
export interface StoredCounts {
  readonly tenant: string | null
  readonly active: number
  readonly completed: number
  readonly cancelled: number
  readonly errors: number
  readonly durationSumMs: number
}

/** The last reliable message of a channel: for operators (`tenant` is `null`), or for a tenant. */
export interface StoredHead {
  readonly channel: string
  readonly tenant: string | null
  readonly offset: number
  readonly messageId: string
}

/** What the log knows of a mission, and judges steps by. */
export interface MissionHeader {
  readonly id: string
  readonly tenant: string | null
  readonly attempt: number
  readonly status: MissionStatus
  /** The number of its updates over all attempts. */
  readonly seq: number
  /** The process that runs the mission, or that has started it. */
  readonly owner: string
  /** Whether a function of the owner is the mission, which therefore ends with the process. */
  readonly isRun: boolean
  /** The sequence of the first entry of this attempt. */
  readonly startedAt: number
  /** The sequence of the last entry. */
  readonly sequence: number
  /** The offset of the last reliable entry, and that within the tenant; 0 if there is none. */
  readonly offset: number
  readonly tenantOffset: number
}

/** `state` is the JSON text of its last step that had one. */
export interface StoredMission extends MissionHeader { readonly state: string }

/** One step of a mission, a message of the channel `mission_update`. Texts are opaque to the log. */
export interface MissionLogStep {
  readonly kind: 'mission'
  readonly id: string
  readonly tenant: string | null
  readonly attempt: number
  readonly status: MissionStatus
  readonly isRun: boolean
  /** Whether this is the first step of its attempt. */
  readonly isStart: boolean
  /** Whether it must reach every client: it gets offsets and is kept in the history. */
  readonly isReliable: boolean
  /** Tells that a mission was lost with this instance, which must be fenced or gone and own the mission. */
  readonly lostWith: string | undefined
  /** Only for a terminal status. */
  readonly durationMs: number
  /** The id of the message to clients. */
  readonly messageId: string
  /** JSON of the update for clients; empty if they must not be told. */
  readonly update: string
  /** JSON of the whole mission after this step; empty if a later step of the same batch has it. */
  readonly state: string
}

/** A message of a channel that is not about a mission. */
export interface PublicationStep {
  readonly kind: 'publication'
  readonly channel: string
  /** The tenant that receives it too; operators always do. `null`: operators alone. */
  readonly tenant: string | null
  readonly isReliable: boolean
  readonly messageId: string
  /**
   * JSON of the payload. Empty if there is no message, but only a value to retain; without a value, it marks that
   * messages of the channel are missing.
   */
  readonly update: string
  /** A value to keep for processes that join later: at most 64 keys of 64 characters, and 65,536 characters each. */
  readonly retain: { readonly key: string, readonly value: string } | undefined
}

export type LogStep = MissionLogStep | PublicationStep
export interface AppendBatch { readonly number: number, readonly steps: readonly LogStep[] }
/** Why a step was not appended. `lost`: its mission ended with the process that ran it. */
export type StepRefusal = 'repeated' | 'backward' | 'terminal' | 'stale' | 'lost'
export type Verdict = 'applied' | StepRefusal
export type AppendResult =
  | { readonly outcome: 'appended', readonly verdicts: readonly Verdict[] }
  | { readonly outcome: 'fenced' }

interface EntryPosition {
  readonly sequence: number
  /** Counts the reliable entries of the channel from 1; 0 for an entry that is not reliable. */
  readonly offset: number
  /** The same for those of the tenant; 0 without a tenant. */
  readonly tenantOffset: number
}

/** A step of a mission that was appended. */
export interface MissionEntry
  extends EntryPosition, Omit<MissionLogStep, 'isStart' | 'isReliable' | 'lostWith' | 'isRun' | 'state'> {
  /** As in the header after this entry. */
  readonly seq: number
  readonly owner: string
  readonly isRun: boolean
  readonly startedAt: number
  /** Whether the attempt is counted as active from here on. */
  readonly isNew: boolean
  /** Whether it takes the place of an active attempt, which is counted as cancelled. */
  readonly isReplacing: boolean
  /** Empty in the history too. */
  readonly state: string
}

export interface PublicationEntry extends EntryPosition, Omit<PublicationStep, 'isReliable'> {}

export type LogEntry = MissionEntry | PublicationEntry
/** The entries of one append. Those of a history are not contiguous. */
export interface LogBatch {
  readonly epoch: string
  readonly token: string
  /** The token of the batch before it. */
  readonly previous: string
  /** The sequence of the last entry of the batch before it. */
  readonly after: number
  /** The instance that has appended it, and its number there. */
  readonly instance: string
  readonly number: number
  /** When it was appended, in ms since 1970 by the clock of the log. */
  readonly at: number
  readonly entries: readonly LogEntry[]
}

export type ReadResult =
  | { readonly outcome: 'batches', readonly batches: readonly LogBatch[] }
  | { readonly outcome: 'trimmed' | 'diverged' }

export type RenewResult =
  | {
    readonly outcome: 'renewed'
    /** The instances with a lease, in the order in which they joined. */
    readonly alive: readonly Instance[]
    /** Instances whose lease has lapsed or that have left, for an hour: their `append` and `renew` are refused. */
    readonly fenced: readonly string[]
  }
  | { readonly outcome: 'fenced' }
  /** The log does not contain the position any more; the lease was renewed. */
  | { readonly outcome: 'diverged' }
