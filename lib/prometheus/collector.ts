import type { Clock } from '../base/clock.js'
import { CollectorTimeout } from '../base/errors.js'
import type { RegisteredMetric } from './registry.js'

/** Time that one metric may take in a scrape; Prometheus itself gives up on the whole scrape after 10 s. */
export const COLLECTOR_TIMEOUT_MS = 2_000

/** Asks metrics that may throw, reject or hang, none of them twice at once. */
export class Collector {
  readonly #clock: Clock
  readonly #running = new WeakMap<RegisteredMetric, Promise<unknown>>()
  readonly #late = new WeakSet<RegisteredMetric>()

  constructor (clock: Clock) {
    this.#clock = clock
  }

  /**
   * What `metric` answers. It is asked before this returns, so that metrics asked in one synchronous run see one moment.
   * Rejects with what it threw, or with FST_MC_COLLECTOR_TIMEOUT: at once while an answer is overdue since an earlier scrape.
   */
  collect (metric: RegisteredMetric): Promise<unknown> {
    if (this.#late.has(metric)) return Promise.reject(new CollectorTimeout(COLLECTOR_TIMEOUT_MS))
    return this.#inTime(metric, this.#running.get(metric) ?? this.#ask(metric))
  }

  #ask (metric: RegisteredMetric): Promise<unknown> {
    const answer = (async () => await metric.get())()
    const forget = () => {
      this.#running.delete(metric)
      this.#late.delete(metric)
    }
    this.#running.set(metric, answer)
    answer.then(forget, forget)
    return answer
  }

  #inTime (metric: RegisteredMetric, answer: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(COLLECTOR_TIMEOUT_MS, () => {
        this.#late.add(metric)
        reject(new CollectorTimeout(COLLECTOR_TIMEOUT_MS))
      })
      answer.then(resolve, reject).finally(() => timer.cancel())
    })
  }
}
