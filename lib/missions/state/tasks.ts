import type { MissionTask, Progress } from '../../../schemas/mission.js'

/** Tasks kept of one mission; the rest is only counted. */
const MAX_TASKS = 200
/** Up to this many tasks a linear search is used. */
const SEARCHED = 8

/** The tasks of one mission: the first `max` by name, the rest as a number. */
export class Tasks {
  readonly #max: number
  #tasks: MissionTask[] = []
  // Built only for many tasks: searching a few costs less than the memory of a map in every mission.
  #byId: Map<string, MissionTask> | undefined
  #planned = 0
  #highest = 0
  #unkept = 0

  constructor (max = MAX_TASKS) {
    this.#max = max
  }

  /**
   * How many tasks are not kept. Their names are unknown, only how often they were reported and the highest index of
   * all; tasks that share an index count as one.
   */
  get omitted (): number { return Math.min(this.#unkept, Math.max(0, this.#highest - this.#tasks.length)) }

  /** The plan has this many tasks. */
  plan (count: number): void {
    this.#planned = count
  }

  /** Keeps the status that a progress reports for its task. */
  note ({ taskId, index, status }: Progress): void {
    const known = this.#find(taskId)
    if (known !== undefined) known.status = status
    else if (this.#tasks.length < this.#max) this.#keep({ taskId, index, status })
    else this.#unkept++
    this.#highest = Math.max(this.#highest, index)
  }

  /** The index of a task, counted from 1: its own, or the next free one. */
  indexOf (taskId: string): number {
    return this.#find(taskId)?.index ?? this.#highest + 1
  }

  /** How many tasks are known, at least `index`. */
  total (index: number): number {
    return Math.max(this.#planned, this.#highest, index)
  }

  list (): MissionTask[] {
    return this.#tasks.map((task) => ({ ...task }))
  }

  #find (taskId: string): MissionTask | undefined {
    return this.#byId === undefined ? this.#tasks.find((task) => task.taskId === taskId) : this.#byId.get(taskId)
  }

  #keep (task: MissionTask): void {
    // An array that grows by push reserves room for sixteen more entries.
    if (this.#tasks.length < SEARCHED) this.#tasks = this.#tasks.concat(task)
    else this.#tasks.push(task)
    if (this.#byId !== undefined) this.#byId.set(task.taskId, task)
    else if (this.#tasks.length > SEARCHED) this.#byId = new Map(this.#tasks.map((one) => [one.taskId, one]))
  }
}
