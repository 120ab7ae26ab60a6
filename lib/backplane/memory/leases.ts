import type { Instance } from '../contract.js'

/** For how long it is known that an instance is fenced, in ms. */
const FENCED_FOR_MS = 3_600_000

interface Lease { readonly instance: Instance, until: number }

/**
 * Which instances are alive. Times are in ms of a monotonic clock. A lease that has lapsed stays until another instance
 * renews its own, so that one that was only slow goes on if nobody has noticed.
 */
export class Leases {
  readonly #leaseMs: number
  readonly #onFenced: (id: string) => void
  readonly #leases = new Map<string, Lease>()
  /** When each instance was fenced, oldest first. */
  readonly #fenced = new Map<string, number>()
  #lastRenewal: number | undefined
  #graceUntil = 0

  constructor (leaseMs: number, onFenced: (id: string) => void) {
    this.#leaseMs = leaseMs
    this.#onFenced = onFenced
  }

  /** Whether an instance may append: it has joined, and is not fenced. */
  has (id: string): boolean {
    return this.#leases.has(id)
  }

  /** Takes a lease, or renews it if the instance has joined before. One that is fenced stays fenced. */
  join (instance: Instance, now: number): void {
    this.#noteRenewal(now)
    if (this.#fenced.has(instance.id)) return
    const lease = this.#leases.get(instance.id) ?? { instance, until: 0 }
    lease.until = now + this.#leaseMs
    this.#leases.set(instance.id, lease)
  }

  /** Renews a lease, and fences the instances whose lease has lapsed. Returns whether the instance has a lease. */
  renew (id: string, now: number): boolean {
    const lease = this.#leases.get(id)
    if (lease === undefined) return false
    lease.until = now + this.#leaseMs
    this.#noteRenewal(now)
    if (now >= this.#graceUntil) this.#fenceLapsed(now)
    this.#forgetFenced(now)
    return true
  }

  /** Gives a lease back, which fences the instance at once. */
  leave (id: string, now: number): void {
    if (this.#leases.has(id)) this.#fence(id, now)
  }

  /** The instances that are not fenced, in the order in which they joined. */
  alive (): Instance[] {
    return Array.from(this.#leases.values(), ({ instance }) => instance)
  }

  fenced (): string[] {
    return [...this.#fenced.keys()]
  }

  // If nobody has renewed for a while, the log was away, or all processes were stopped: they get time to renew.
  #noteRenewal (now: number): void {
    const last = this.#lastRenewal ?? now
    if (now - last > this.#leaseMs / 2) this.#graceUntil = now + this.#leaseMs
    this.#lastRenewal = now
  }

  #fenceLapsed (now: number): void {
    for (const [id, { until }] of this.#leases) if (until <= now) this.#fence(id, now)
  }

  #fence (id: string, now: number): void {
    this.#leases.delete(id)
    this.#fenced.set(id, now)
    this.#onFenced(id)
  }

  #forgetFenced (now: number): void {
    for (const [id, at] of this.#fenced) {
      if (now - at <= FENCED_FOR_MS) return
      this.#fenced.delete(id)
    }
  }
}
