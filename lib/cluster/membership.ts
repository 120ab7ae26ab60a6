import type { Instance } from '../backplane/contract.js'
import { createUnifiedId } from '../base/clock.js'

export interface MembershipOptions {
  service: string
  /** A readable beginning of the ids of this process, such as the name of its host. */
  label: string
}

const LABEL_CHARACTERS = 64

/** Which processes are alive, and which of them this one is. */
export class Membership {
  readonly #options: MembershipOptions
  /** All ids that this process has had: after it was fenced, it needs a new one. */
  readonly #own = new Set<string>()
  #instance: Instance
  #alive: readonly Instance[] = []
  /** Instances that are alive although they are not in the list, which is some seconds old. */
  readonly #seen = new Set<string>()

  constructor (options: MembershipOptions) {
    this.#options = options
    this.#instance = this.rename()
  }

  get instance (): Instance { return this.#instance }

  get alive (): readonly Instance[] { return this.#alive }

  /** Whether this process does what is to be done once for all. */
  get isLeader (): boolean { return this.#alive[0]?.id === this.#instance.id }

  /** Whether this is an id that this process has or had. */
  isOwn (id: string): boolean { return this.#own.has(id) }

  isAlive (id: string): boolean { return this.#seen.has(id) || this.#alive.some((instance) => instance.id === id) }

  /** An instance has appended to the log, so it has a lease. */
  seen (id: string): void {
    if (!this.isAlive(id)) this.#seen.add(id)
  }

  /** Takes a new identity, which the log does not know yet. */
  rename (): Instance {
    const { label, service } = this.#options
    const random = createUnifiedId('').slice(-12)
    const id = `${label.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, LABEL_CHARACTERS)}-${random}`
    this.#own.add(id)
    this.#alive = []
    return (this.#instance = { id, service })
  }

  /** Takes over the list of the log. */
  renewed (alive: readonly Instance[]): void {
    this.#alive = alive
    this.#seen.clear()
  }
}
