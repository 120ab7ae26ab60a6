import type { Anomaly } from '../../../schemas/anomaly.js'
import type { AlertsOptions } from '../../../schemas/options/alerts.js'
import type { Clock } from '../../base/clock.js'
import type { EvaluatedRule } from './alert-rules.js'
import type { AlertCondition } from './condition.js'
import { evaluateRules, failuresOf, type Evaluation } from './evaluate-rules.js'
import type { AlertFacts } from './facts/alert-facts.js'
import type { AlertTime } from './lifecycle/alert-entry.js'
import { AlertLifecycle, type LifecycleDeps, type RuleTimes } from './lifecycle/lifecycle.js'

/** Conditions that come from no rule of the table, with the times of their rules. */
export interface ConditionSource {
  readonly name: string
  readonly times: Readonly<Record<string, RuleTimes>>
  /** Called once for each evaluation. */
  read (facts: AlertFacts, time: AlertTime): readonly AlertCondition[]
}

export interface ScopeAlertsDeps {
  clock: Clock
  repeatMs: AlertsOptions['repeatMs']
  rules: readonly EvaluatedRule[]
  sources?: readonly ConditionSource[]
  /** The labels of every alert. */
  labels?: Readonly<Record<string, string>>
  facts: (time: AlertTime) => AlertFacts
  /** Called with each error that a rule throws. */
  onError: (rule: string, err: unknown) => void
  silences?: LifecycleDeps['silences']
  onTransition?: LifecycleDeps['onTransition']
}

const DEFAULT_TIMES: RuleTimes = { forMs: 60_000, keepMs: 300_000 }

/** The alerts of operators, or of one tenant: evaluates the rules and leads each alert through its life. */
export class ScopeAlerts {
  readonly lifecycle: AlertLifecycle
  readonly #deps: ScopeAlertsDeps
  readonly #times: Map<string, RuleTimes>

  constructor (deps: ScopeAlertsDeps) {
    const { rules, sources = [], repeatMs, labels, silences, onTransition } = deps
    this.#deps = deps
    this.#times = new Map(sources.flatMap((source) => Object.entries(source.times)))
    for (const { rule, options } of rules) this.#times.set(rule, options)
    this.lifecycle = new AlertLifecycle({
      times: (rule) => this.#times.get(rule) ?? DEFAULT_TIMES,
      repeatMs,
      labels,
      silences,
      summarizes: this.#times.has('monitoring.alerts_suppressed'),
      onTransition
    })
  }

  /** The present moment. */
  get time (): AlertTime {
    const { clock } = this.#deps
    return { now: clock.now(), at: clock.monotonic() }
  }

  /** Evaluates the rules and returns the messages to send. Never throws. */
  evaluate (): Anomaly[] {
    const { time } = this
    return this.lifecycle.evaluate(this.#evaluation(time), time)
  }

  #evaluation (time: AlertTime): Evaluation {
    const { rules, labels = {}, onError } = this.#deps
    try {
      const facts = this.#deps.facts(time)
      const firing = (key: string) => this.lifecycle.severityOf(key)
      const evaluations = [evaluateRules(rules, facts, { labels, firing, onError }), ...this.#others(facts, time)]
      return {
        conditions: evaluations.flatMap(({ conditions }) => conditions),
        unknown: new Set(evaluations.flatMap(({ unknown }) => [...unknown]))
      }
    } catch (err) {
      onError('facts', err)
      return { conditions: failuresOf(['facts'], rules, labels), unknown: new Set(this.#times.keys()) }
    }
  }

  #others (facts: AlertFacts, time: AlertTime): Evaluation[] {
    const { sources = [], rules, labels, onError } = this.#deps
    return sources.map((source) => {
      try {
        return { conditions: source.read(facts, time), unknown: new Set() }
      } catch (err) {
        const names = Object.keys(source.times)
        onError(source.name, err)
        return { conditions: failuresOf([source.name], rules, labels), unknown: new Set(names) }
      }
    })
  }
}
