import type { OperationLatency } from '../../../../schemas/metrics.js'
import type { AdaptiveOptions } from '../../../../schemas/options/adaptive.js'
import { fingerprintOf, type AlertCondition } from '../condition.js'
import type { AlertFacts } from '../facts/alert-facts.js'
import type { AlertTime } from '../lifecycle/alert-entry.js'
import type { RuleTimes } from '../lifecycle/lifecycle.js'
import type { ConditionSource } from '../scope-alerts.js'
import { describeFinding } from './finding-text.js'
import { Samples } from './samples.js'
import { SignalGroup } from './signal-group.js'
import { SIGNAL_KINDS } from './signal-kinds.js'
import type { SavedSignal, Signal, SignalFinding } from './signal.js'

/** How many signals of one rule are reported at once. */
const MAX_REPORTED = 5
/** A signal has its own confirmation and calm time. */
const TIMES: RuleTimes = { forMs: 0, keepMs: 0 }

export interface AdaptiveSignalsDeps {
  options: AdaptiveOptions
  /** The latency of the busiest operations in the last minute. */
  latencies: () => readonly OperationLatency[]
}

/**
 * Alerts about unusual values. Each signal takes one sample per minute and is compared with its own history. It is
 * reported once it was unusual in two samples, but not within its first 100. Its alert ends after 20 usual samples. The
 * number of signals is bounded.
 */
export class AdaptiveSignals implements ConditionSource {
  readonly name = 'adaptive'
  readonly times: Readonly<Record<string, RuleTimes>>
  readonly #groups: ReadonlyMap<string, SignalGroup>
  readonly #samples: Samples

  constructor ({ options: { enabled, sensitivity, minDelta }, latencies }: AdaptiveSignalsDeps) {
    const kinds = Object.values(SIGNAL_KINDS).filter(({ option }) => enabled && minDelta[option] !== false)
    const groupOf = (kind: typeof kinds[number]) =>
      new SignalGroup({ kind, sensitivity, minDelta: Number(minDelta[kind.option]) })
    this.#groups = new Map(kinds.map((kind) => [kind.rule, groupOf(kind)]))
    this.times = Object.fromEntries(kinds.map(({ rule }) => [rule, TIMES]))
    this.#samples = new Samples(latencies)
  }

  read (facts: Pick<AlertFacts, 'missions'>, time: AlertTime): AlertCondition[] {
    for (const { rule, labels, value } of this.#samples.take(facts, time)) {
      this.#groups.get(rule)?.take(labels, value, time.now)
    }
    return [...this.#groups.values()].flatMap((group) => conditionsOf(group, time.now))
  }

  /** The signals, for `restore` in another process. */
  save (): SavedSignal[] {
    return [...this.#groups.values()].flatMap((group) => group.save())
  }

  /** Takes over the signals of another process. */
  restore (saved: readonly SavedSignal[], { now }: AlertTime): void {
    for (const [rule, group] of this.#groups) group.restore(saved.filter((one) => one.rule === rule), now)
  }
}

/** The conditions of the signals of one rule: one per operation, since p95 and p99 of one rise together. */
function conditionsOf (group: SignalGroup, now: number): AlertCondition[] {
  const conditions = new Map<string, AlertCondition>()
  for (const signal of group.signals) {
    const finding = signal.finding(now)
    if (finding === undefined) continue
    const condition = conditionOf(signal, finding)
    if (!conditions.has(condition.key)) conditions.set(condition.key, condition)
    if (conditions.size === MAX_REPORTED) break
  }
  return [...conditions.values()]
}

function conditionOf ({ kind, labels }: Signal, finding: SignalFinding): AlertCondition {
  const { rule, category, severity, metric } = kind
  const { percentile, ...identity } = labels
  const { observed, baseline, low, high, view } = finding
  return {
    key: fingerprintOf(rule, identity),
    rule,
    category,
    labels: identity,
    severity,
    message: describeFinding(kind, labels, finding).slice(0, 512),
    metric,
    value: observed,
    threshold: observed < baseline ? low : high,
    details: { baseline, low, high, view, ...percentile !== undefined && { percentile } }
  }
}
