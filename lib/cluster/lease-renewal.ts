import type { Joined, RenewResult, SharedLog } from '../backplane/contract.js'
import type { Clock, Timer } from '../base/clock.js'
import type { Membership } from './membership.js'
import type { Picture } from './picture/picture.js'

/** A lease is renewed so many times while it lasts. */
const RENEWALS = 5

export interface LeaseRenewalDeps {
  clock: Clock
  log: SharedLog
  leaseMs: number
  membership: Membership
  picture: Picture
  /** The lease was renewed: the other processes are known. */
  onRenewed: () => void
  /** This process was taken for dead. It gets a new identity next. */
  onFenced: () => void
  /** The new identity has joined. */
  onRejoined: (joined: Joined) => void
  /** Whether the last attempt has failed, with the error. */
  onState: (err: unknown) => void
}

/** Keeps the lease of this process. A process that has lost it goes on under a new identity. */
export class LeaseRenewal {
  readonly #deps: LeaseRenewalDeps
  #timer: Timer | undefined
  #isRenewing = false
  #isRejoining = false
  #isClosed = false

  constructor (deps: LeaseRenewalDeps) {
    this.#deps = deps
  }

  /** Whether there is a lease to give back. */
  get isHeld (): boolean { return this.#timer !== undefined }

  /** The instance has joined. */
  start (): void {
    const { clock, leaseMs } = this.#deps
    this.#timer ??= clock.every(leaseMs / RENEWALS, () => { this.#renew() })
    this.#renew()
  }

  /** The log has refused this instance: takes a new identity and joins again, until it has. */
  rejoin (): void {
    this.#isRejoining = true
    this.#deps.onFenced()
    this.#deps.membership.rename()
    this.#join()
  }

  close (): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #renew (): void {
    if (this.#isRenewing || this.#isRejoining) return
    this.#isRenewing = true
    const { log, picture, membership, onState } = this.#deps
    const { instance } = membership
    log.renew(picture.position).then(
      (result) => {
        this.#isRenewing = false
        // An answer about an earlier identity is too late.
        if (this.#isClosed || membership.instance !== instance) return
        onState(undefined)
        this.#renewed(result)
      },
      (err: unknown) => {
        this.#isRenewing = false
        if (!this.#isClosed) onState(err)
      }
    )
  }

  // If the log has diverged, the next read tells it too.
  #renewed (result: RenewResult): void {
    const { membership, onRenewed } = this.#deps
    if (result.outcome === 'fenced') return this.rejoin()
    if (result.outcome === 'diverged') return
    membership.renewed(result.alive)
    onRenewed()
  }

  #join (): void {
    const { clock, log, leaseMs, membership, onState, onRejoined } = this.#deps
    log.join(membership.instance).then(
      (joined) => {
        this.#unlessClosed(() => {
          this.#isRejoining = false
          onState(undefined)
          onRejoined(joined)
          this.#renew()
        })
      },
      (err: unknown) => {
        onState(err)
        clock.after(leaseMs / RENEWALS, () => this.#unlessClosed(() => this.#join()))
      }
    )
  }

  #unlessClosed (run: () => void): void {
    if (!this.#isClosed) run()
  }
}
