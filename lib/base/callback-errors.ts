/** The one method of a logger that is needed here. */
interface WarnLog { warn (fields: object, message: string): void, debug (fields: object, message: string): void }

/**
 * Failures of host callbacks that the plugin caught: counted by where they happened, the first of each place logged as a
 * warning, the others at debug level so that a listener that fails at every message does not fill the host's log.
 */
export class CallbackErrors {
  readonly #log: WarnLog
  readonly #counts = new Map<string, number>()

  constructor (log: WarnLog) {
    this.#log = log
  }

  /** Bound, so that it can be handed out as a callback. */
  readonly report = (callback: string, err: unknown): void => {
    const count = this.#counts.get(callback) ?? 0
    this.#counts.set(callback, count + 1)
    try {
      this.#log[count === 0 ? 'warn' : 'debug']({ err, callback }, 'a callback of the host failed')
    } catch {
      // The logger is the host's too; a failure of it can't be logged, but it is in the count.
    }
  }

  read (): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }
}
