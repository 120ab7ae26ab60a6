import type { Clock } from '../../../base/clock.js'
import { BackplaneTimeout, Closing } from '../../../base/errors.js'
import type { RedisClient } from './redis-client.js'

/** How long an answer may take, in ms, and the wait until the connection is open. */
export const ANSWER_MS = 2_000

/** After how long a connection is opened again that the client has given up, in ms. */
const REOPEN_MS = 1_000

export interface ConnectionDeps {
  client: RedisClient
  clock: Clock
  onWarning: (err: unknown) => void
  /** Called each time the connection has been opened. */
  onReady?: () => void
}

/**
 * One connection to Redis. A command rejects if it is not answered in time. What is late is ignored, and the connection
 * is opened again, so that commands do not pile up behind one that hangs.
 */
export class Connection {
  readonly #client: RedisClient
  readonly #clock: Clock
  readonly #onWarning: (err: unknown) => void
  /** Commands that wait until the connection is open. */
  readonly #waiting = new Set<() => void>()
  /** Rejects commands that are not answered yet. */
  readonly #open = new Set<(err: Error) => void>()
  #isDropped = false
  #isClosed = false
  #hasFailed = false
  #openings = 0

  constructor ({ client, clock, onWarning, onReady }: ConnectionDeps) {
    this.#client = client
    this.#clock = clock
    this.#onWarning = onWarning
    client.on('ready', () => {
      this.#noteReady()
      onReady?.()
    })
    client.on('error', (err: unknown) => this.#noteError(err))
    client.on('end', () => this.#reopen())
    this.#connect()
  }

  /** How many times the connection has been opened. */
  get openings (): number { return this.#openings }

  /**
   * Sends a command. `blockMs` is how long the command itself may wait in Redis.
   *
   * @throws FST_MC_BACKPLANE_TIMEOUT if there is no answer in time
   * @throws FST_MC_CLOSING after `close`
   */
  async call (command: string, args: ReadonlyArray<string | number>, blockMs = 0): Promise<unknown> {
    if (this.#isClosed) throw new Closing()
    return await new Promise((resolve, reject) => {
      let isSent = false
      const send = (): void => {
        isSent = true
        this.#send(command, args).then(resolve, reject).finally(settle)
      }
      const fail = (err: Error): void => {
        settle()
        reject(err)
      }
      const settle = (): void => {
        timer.cancel()
        this.#open.delete(fail)
        this.#waiting.delete(send)
      }
      const timer = this.#clock.after(ANSWER_MS + blockMs, () => {
        fail(new BackplaneTimeout(ANSWER_MS))
        if (isSent) this.drop()
      })
      this.#open.add(fail)
      if (this.#isReady()) send()
      else this.#waiting.add(send)
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
    for (const fail of this.#open) fail(new Closing())
    this.#client.disconnect()
  }

  #isReady (): boolean {
    return this.#client.status === 'ready' && !this.#isDropped
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

  #noteReady (): void {
    this.#isDropped = false
    this.#hasFailed = false
    this.#openings++
    for (const send of this.#waiting) {
      this.#waiting.delete(send)
      send()
    }
  }

  // Only the first error until the connection is open again. The client reports one for each attempt.
  #noteError (err: unknown): void {
    if (this.#hasFailed || this.#isClosed) return
    this.#hasFailed = true
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
