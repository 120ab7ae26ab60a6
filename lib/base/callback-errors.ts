/** The methods of a logger that are used here. */
interface CallbackLog { warn (fields: object, message: string): void, debug (fields: object, message: string): void }

/** The callbacks that are counted from the start, so that the first error shows as an increase. */
export const CALLBACKS = [
  'mission_listener', 'monitoring.operation_metric', 'monitoring.health_degraded', 'monitoring.health_critical',
  'monitoring.system_recovery', 'serializer.planningSession', 'serializer.task', 'serializer.error',
  'serializer.objective', 'start_handler', 'cancel_handler', 'identify', 'refresh', 'authorize', 'message', 'log'
] as const

/**
 * Errors of host callbacks that the plugin caught. They are counted by callback. The first of each callback is logged
 * as a warning, further ones at debug level, so that a listener that fails for every message does not flood the host's
 * log.
 */
export class CallbackErrors {
  readonly #log: CallbackLog
  readonly #counts = new Map<string, number>(CALLBACKS.map((callback) => [callback, 0]))

  constructor (log: CallbackLog) {
    this.#log = log
  }

  /** A bound function, so that it can be passed as a callback. */
  readonly report = (callback: string, err: unknown): void => {
    const count = this.#counts.get(callback) ?? 0
    this.#counts.set(callback, count + 1)
    try {
      this.#log[count === 0 ? 'warn' : 'debug']({ err, callback }, 'a callback of the host failed')
    } catch {
      // The logger belongs to the host too. Its error cannot be logged, but is counted.
    }
  }

  read (): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }
}
