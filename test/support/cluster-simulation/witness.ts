import type { GapCause, MissionUpdate } from '../../../schemas/index.js'
import { isTerminal } from '../../../schemas/mission.js'
import type { Cluster } from '../../../lib/cluster/cluster.js'

type Feed = Cluster['feed']
type Place = Parameters<Parameters<Feed['onUpdate']>[0]>[2]

/** What one client of one process is told: as an operator, or as a client of a tenant. */
export class Witness {
  readonly problems: string[] = []
  /** How often the client was told that it misses something, by cause. */
  readonly gaps: Record<string, number> = {}
  readonly tenant: string | undefined
  /** The active missions of each snapshot. */
  readonly snapshots: string[][] = []
  readonly #feed: Feed
  readonly #who: string
  /** How each attempt of a mission ended, in this epoch. */
  readonly #ended = new Map<string, string>()
  #epoch = ''
  #offset = 0
  /** The number of the last update of each mission since the last gap. */
  #seqs = new Map<string, number>()

  constructor (feed: Feed, who: string, tenant: string | undefined) {
    this.#feed = feed
    this.#who = who
    this.tenant = tenant
    feed.onUpdate((update, _mission, place) => this.#see(update, place), tenant)
  }

  get offset (): number { return this.#offset }

  get epoch (): string { return this.#epoch }

  /** The client is told that it misses something, and gets a snapshot. */
  restart (epoch: string, cause: GapCause): void {
    this.gaps[cause] = (this.gaps[cause] ?? 0) + 1
    if (cause === 'epoch_changed') this.#ended.clear()
    this.snapshots.push(this.#feed.visible(this.tenant).map(({ id }) => id))
    this.#epoch = epoch
    this.#offset = this.#feed.origin(this.tenant).head.offset
    this.#seqs.clear()
  }

  #see (update: MissionUpdate, place: Place): void {
    const { missionId: id, seq, status, attempt = 1 } = update
    const offset = place?.offset
    if (offset !== undefined) {
      if (offset !== this.#offset + 1) this.#complain(`offset ${offset} after ${this.#offset}`)
      this.#offset = offset
    }
    if (seq <= (this.#seqs.get(id) ?? 0)) this.#complain(`update ${seq} of ${id} after ${this.#seqs.get(id)}`)
    this.#seqs.set(id, seq)
    const key = `${id}, attempt ${attempt},`
    if (this.#ended.has(key)) this.#complain(`${key} is ${status} after it has ended as ${this.#ended.get(key)}`)
    if (isTerminal(status)) this.#ended.set(key, status)
  }

  #complain (text: string): void {
    this.problems.push(`${this.#who}${this.tenant === undefined ? '' : ` (tenant ${this.tenant})`}: ${text}`)
  }
}
