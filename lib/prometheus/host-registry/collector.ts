import type { Clock } from '../../base/clock.js'
import { CollectorTimeout } from '../../base/errors.js'
import type { RegisteredMetric } from './metric-registry.js'

/** How long a scrape waits for one metric of the host; Prometheus itself gives up on a scrape after 10 s. */
export const COLLECTOR_TIMEOUT_MS = 2_000

/** Calls the `get` of metrics that may throw, reject or hang; never a second time while the first call is pending. */
export class Collector {
  readonly #clock: Clock
  readonly #pending = new WeakMap<RegisteredMetric, Promise<unknown>>()
  readonly #overdue = new WeakSet<RegisteredMetric>()

  constructor (clock: Clock) {
    this.#clock = clock
  }

  /**
   * Resolves with what `metric.get` returns. It is called before this method returns, so that metrics collected in one
   * synchronous run are read at one moment.
   * Rejects with its error, or with FST_MC_COLLECTOR_TIMEOUT: immediately while a call of an earlier scrape is overdue.
   */
  collect (metric: RegisteredMetric): Promise<unknown> {
    if (this.#overdue.has(metric)) return Promise.reject(new CollectorTimeout(COLLECTOR_TIMEOUT_MS))
    return this.#withTimeout(metric, this.#pending.get(metric) ?? this.#get(metric))
  }

  #get (metric: RegisteredMetric): Promise<unknown> {
    const result = (async () => await metric.get())()
    const forget = () => {
      this.#pending.delete(metric)
      this.#overdue.delete(metric)
    }
    this.#pending.set(metric, result)
    result.then(forget, forget)
    return result
  }

  #withTimeout (metric: RegisteredMetric, result: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(COLLECTOR_TIMEOUT_MS, () => {
        this.#overdue.add(metric)
        reject(new CollectorTimeout(COLLECTOR_TIMEOUT_MS))
      })
      result.then(resolve, reject).finally(() => timer.cancel())
    })
  }
}
