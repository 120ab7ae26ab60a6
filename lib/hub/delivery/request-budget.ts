import type { Clock } from '../../base/clock.js'

const MINUTE_MS = 60_000

/**
 * What clients may request at once, and then per minute. `handOvers` are snapshots, replays of the log and recoveries
 * of gaps, counted in whole states of a channel, so that the limit suits services of any size: an ordinary client never
 * comes near it, because it needs a few after it has connected. `lists` are pages of missions or alerts, counted in
 * pages of the largest size.
 */
const LIMITS = {
  handOvers: { perConnection: 16, perOwner: 128 },
  lists: { perConnection: 60, perOwner: 480 }
} as const
export type BudgetKind = keyof typeof LIMITS

/** The most that one request counts, even if it is larger, such as a long log. */
const MAX_COST = 8
/** Added to the limit of an owner for each of its connections: many clients may share one address. */
const PER_OWNER_AND_CONNECTION = 8
/** How long an owner without connections is remembered, and how many of them. */
const KEPT_FOR_MS = 600_000
const MAX_KEPT = 10_000

/** The used part of a limit per minute. */
class Usage {
  #used = 0
  #settledAt = 0

  /** Time in ms until the use falls below the limit; 0 if it is below. */
  waitMs (limit: number, now: number): number {
    this.#settle(limit, now)
    return this.#used < limit ? 0 : Math.ceil((this.#used - limit + 1) * MINUTE_MS / limit)
  }

  add (cost: number, limit: number, now: number): void {
    this.#settle(limit, now)
    this.#used += cost
  }

  #settle (limit: number, now: number): void {
    this.#used = Math.max(0, this.#used - (now - this.#settledAt) * limit / MINUTE_MS)
    this.#settledAt = now
  }
}

/** All connections of one owner. */
export interface BudgetOwner {
  readonly name: string
  readonly usage: Readonly<Record<BudgetKind, Usage>>
  open: number
  /** The highest number of open connections: all of them may reconnect at once. */
  peak: number
  closedAt: number
}

/** The owners that are connected, or were a short time ago, so that a reconnecting client gets no new budget. */
export class BudgetOwners {
  readonly #open = new Map<string, BudgetOwner>()
  /** Those without connections, in the order in which their last one was closed. */
  readonly #closed = new Map<string, BudgetOwner>()

  opened (name: string): BudgetOwner {
    const known = this.#open.get(name) ?? this.#closed.get(name)
    const usage = { handOvers: new Usage(), lists: new Usage() }
    const owner = known ?? { name, usage, open: 0, peak: 0, closedAt: 0 }
    this.#closed.delete(name)
    this.#open.set(name, owner)
    owner.peak = Math.max(owner.peak, ++owner.open)
    return owner
  }

  closed (owner: BudgetOwner, now: number): void {
    if (--owner.open > 0) return
    owner.closedAt = now
    this.#open.delete(owner.name)
    this.#closed.set(owner.name, owner)
    for (const [name, { closedAt }] of this.#closed) {
      if (this.#closed.size <= MAX_KEPT && closedAt >= now - KEPT_FOR_MS) break
      this.#closed.delete(name)
    }
  }
}

/** Limits what one connection may request of one kind, and all connections of its owner together. */
export class RequestBudget {
  readonly #clock: Clock
  readonly #owner: BudgetOwner
  readonly #kind: BudgetKind
  readonly #usage = new Usage()

  constructor (clock: Clock, owner: BudgetOwner, kind: BudgetKind) {
    this.#clock = clock
    this.#owner = owner
    this.#kind = kind
  }

  /** Time in ms until the next request may be carried out; 0 if it may now. */
  waitMs (): number {
    const now = this.#clock.monotonic()
    const { perConnection } = LIMITS[this.#kind]
    return Math.max(this.#usage.waitMs(perConnection, now), this.#ownerUsage.waitMs(this.#ownerLimit, now))
  }

  /** Counts a request; `cost` is its size in the unit of the limit, such as whole states or pages. */
  charge (cost: number): void {
    const now = this.#clock.monotonic()
    this.#usage.add(Math.min(cost, MAX_COST), LIMITS[this.#kind].perConnection, now)
    this.#ownerUsage.add(Math.min(cost, 1), this.#ownerLimit, now)
  }

  /** Calls `begin` as soon as the next request may be carried out. */
  wait (begin: () => void): void {
    const waitMs = this.waitMs()
    if (waitMs === 0) begin()
    else this.#clock.after(waitMs, () => this.wait(begin))
  }

  get #ownerUsage (): Usage { return this.#owner.usage[this.#kind] }

  get #ownerLimit (): number {
    return LIMITS[this.#kind].perOwner + PER_OWNER_AND_CONNECTION * this.#owner.peak
  }
}
