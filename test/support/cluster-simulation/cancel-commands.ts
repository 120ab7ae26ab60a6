import type { CommandResult } from '../../../lib/missions/index.js'
import type { SimulatedProcess } from './process.js'

/** A client that may do everything. */
const CALLER = { request: undefined, connectionId: null, principal: undefined, id: undefined, tenant: undefined, may: () => true, mayCancelAny: () => true }

/** How long the answer may take, in ms. */
const ANSWER_MS = 1_000

/** A cancel command of a client: the attempt that it is for, and the answer. */
export interface CancelCommand { readonly id: string, readonly attempt: number, readonly askedAt: number, result?: CommandResult }

/** The cancel commands that clients send to one process, and what is wrong with the answers. */
export class CancelCommands {
  readonly problems: string[] = []
  readonly sent: CancelCommand[] = []
  readonly #process: SimulatedProcess
  readonly #others: () => readonly SimulatedProcess[]

  /** `others` are all processes that there have been. */
  constructor (process: SimulatedProcess, others: () => readonly SimulatedProcess[]) {
    this.#process = process
    this.#others = others
  }

  send (id: string): void {
    const { core, gate, cluster } = this.#process
    const attempt = core.missions.find(id)?.attempt
    if (attempt === undefined) return
    const owner = cluster.picture.find(id)?.owner
    const command: CancelCommand = { id, attempt, askedAt: gate.monotonic() }
    this.sent.push(command)
    const { pauses } = gate
    core.missions.commands.cancel(id, CALLER).then((result) => {
      command.result = result
      const tookMs = gate.monotonic() - command.askedAt
      const isSlow = tookMs > ANSWER_MS || (!result.accepted && result.code === 'internal_error')
      if (gate.pauses === pauses && isSlow) this.#complain(command, `was answered after ${tookMs} ms`)
      if (result.accepted && result.cancel?.endsWith('requested') === true && !this.#hasReached(command, owner)) {
        this.#complain(command, `was answered with ${result.cancel}, but has not reached the owner ${owner}`)
      }
    }, (err: unknown) => this.#complain(command, String(err)))
  }

  /** To be called when nothing is on its way any more. */
  checkAnswers (): string[] {
    const open = this.#process.isAlive ? this.sent.filter(({ result }) => result === undefined) : []
    return [...this.problems, ...open.map(({ id }) => `${this.#process.name}: the cancel of ${id} was not answered`)]
  }

  // The owner, or this process if the mission runs nowhere. One that was forgotten has ended.
  #hasReached ({ id, attempt }: CancelCommand, owner: string | undefined): boolean {
    const asked = this.#others().filter((one) => one === this.#process || (owner !== undefined && one.cluster.membership.isOwn(owner)))
    return asked.some(({ core }) => {
      const mission = core.missions.index.local.get(id)
      return mission?.attempt !== attempt || mission.isTerminal || mission.cancel !== null
    })
  }

  #complain ({ id, attempt }: CancelCommand, text: string): void {
    this.problems.push(`${this.#process.name}: the cancel of ${id}, attempt ${attempt}, ${text}`)
  }
}
