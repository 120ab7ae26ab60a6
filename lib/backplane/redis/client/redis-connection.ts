import type { Clock } from '../../../base/clock.js'
import { BackplaneAway, Closing } from '../../../base/errors.js'
import type { RedisClient } from './redis-client.js'

/** How long an answer may take, in ms, and the wait until the connection is open. */
export const ANSWER_MS = 2_000

/** After how long a connection is opened again that the client has given up, in ms. */
const REOPEN_MS = 1_000

/** A command that is not answered yet. */
interface OpenCommand {
  isSent: boolean
  send: () => void
  fail: (err: Error) => void
}

export interface RedisConnectionDeps {
  client: RedisClient
  clock: Clock
  onWarning: (err: unknown) => void
  /** Called each time the connection has been opened. */
  onReady?: () => void
}

/**
 * One connection to Redis. A command rejects if it is not answered in time, or if the connection is closed. An answer
 * that is late is ignored, and the connection is opened again, so that commands do not pile up behind one that hangs.
 */
export class RedisConnection {
  readonly #client: RedisClient
  readonly #clock: Clock
  readonly #onWarning: (err: unknown) => void
  readonly #open = new Set<OpenCommand>()
  #isDropped = false
  #isClosed = false
  /** The first error since the connection was last open. */
  #failure: unknown
  #openings = 0

  constructor ({ client, clock, onWarning, onReady }: RedisConnectionDeps) {
    this.#client = client
    this.#clock = clock
    this.#onWarning = onWarning
    client.on('ready', () => {
      this.#noteReady()
      onReady?.()
    })
    client.on('connect', () => { this.#isDropped = false })
    client.on('close', () => this.#failSent())
    client.on('error', (err: unknown) => this.#noteError(err))
    client.on('end', () => this.#reopen())
    this.#connect()
  }

  /** How many times the connection has been opened. */
  get openings (): number { return this.#openings }

  get isReady (): boolean {
    return this.#client.status === 'ready' && !this.#isDropped
  }

  /**
   * Sends a command. `blockMs` is how long the command itself may wait in Redis.
   *
   * @throws FST_MC_BACKPLANE_AWAY if there is no answer in time
   * @throws FST_MC_CLOSING after `close`
   */
  async call (command: string, args: ReadonlyArray<string | number>, blockMs = 0): Promise<unknown> {
    if (this.#isClosed) throw new Closing()
    return await new Promise((resolve, reject) => {
      const settle = (): void => {
        timer.cancel()
        this.#open.delete(open)
      }
      const open: OpenCommand = {
        isSent: false,
        send: () => {
          open.isSent = true
          this.#send(command, args).then(resolve, reject).finally(settle)
        },
        fail: (err) => {
          settle()
          reject(err)
        }
      }
      const timer = this.#clock.after(ANSWER_MS + blockMs, () => this.#giveUp(open))
      this.#open.add(open)
      if (this.isReady) open.send()
    })
  }

  /** Closes the connection and opens another one. */
  drop (): void {
    if (this.#isDropped || this.#isClosed) return
    this.#isDropped = true
    this.#client.disconnect(true)
  }

  close (): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#failure ??= new Closing()
    for (const open of this.#open) open.fail(new Closing())
    this.#client.disconnect()
  }

  async #send (command: string, args: ReadonlyArray<string | number>): Promise<unknown> {
    try {
      return await this.#client.call(command, args)
    } catch (err) {
      // The server has become a replica. A new connection may lead to the server that has taken its place.
      if (String(err).includes('READONLY')) this.drop()
      throw err
    }
  }

  #giveUp (open: OpenCommand): void {
    open.fail(this.#away(`no answer within ${ANSWER_MS} ms`))
    // In the state `connect`, the server has accepted the connection, but answers nothing.
    if (open.isSent || this.#client.status === 'connect') this.drop()
  }

  #failSent (): void {
    for (const open of this.#open) if (open.isSent) open.fail(this.#away('the connection was closed'))
  }

  #away (reason: string): Error {
    return new BackplaneAway(reason, { cause: this.#failure })
  }

  #noteReady (): void {
    this.#isDropped = false
    this.#failure = undefined
    this.#openings++
    for (const open of this.#open) if (!open.isSent) open.send()
  }

  // Only the first error until the connection is open again. The client reports one for each attempt.
  #noteError (err: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = err
    this.#onWarning(err)
  }

  #reopen (): void {
    if (this.#isClosed) return
    this.#clock.after(REOPEN_MS, () => this.#connect())
  }

  #connect (): void {
    // A failure is reported by the event `error`.
    if (!this.#isClosed) this.#client.connect().catch(() => {})
  }
}
