import type { AnomalySeverity } from '../../../schemas/anomaly.js'
import type { EvaluatedRule } from './alert-rules.js'
import {
  cutLabels, fingerprintOf, isMeasured, toCondition, type AlertCondition, type AlertReading, type ConditionIdentity
} from './condition.js'
import type { AlertFacts } from './facts/alert-facts.js'

const FAILED = 'monitoring.evaluation_failed'

export interface Evaluation {
  readonly conditions: readonly AlertCondition[]
  /** Rules and fingerprints without a result: their alerts stay as they are. */
  readonly unknown: ReadonlySet<string>
}

export interface EvaluateOptions {
  /** The labels of every alert. */
  labels?: Readonly<Record<string, string>>
  /** The severity of the alert with a fingerprint, if it fires. */
  firing?: (key: string) => AnomalySeverity | undefined
  /** Called with each error that a rule throws. */
  onError?: (rule: string, err: unknown) => void
}

/** The conditions that are true, in the order of the rules; of several with one fingerprint, the worst. */
export function evaluateRules (
  rules: readonly EvaluatedRule[], facts: AlertFacts, options: EvaluateOptions = {}
): Evaluation {
  const found = new Map<string, AlertCondition>()
  const unknown = new Set<string>()
  const failed: string[] = []
  for (const one of rules) {
    try {
      const readings = one.read(facts)
      if (readings === undefined) unknown.add(one.rule)
      for (const reading of readings ?? []) {
        const identity = identify(one, reading, options.labels)
        if (isMeasured(reading)) keepWorst(found, toCondition(identity, reading, options.firing?.(identity.key)))
        else unknown.add(identity.key)
      }
    } catch (err) {
      options.onError?.(one.rule, err)
      unknown.add(one.rule)
      failed.push(one.rule)
    }
  }
  return { conditions: [...found.values(), ...failuresOf(failed, rules, options.labels)], unknown }
}

function identify (
  { rule, category }: EvaluatedRule, reading: AlertReading, labels: EvaluateOptions['labels']
): ConditionIdentity {
  const all = cutLabels({ ...labels, ...reading.labels })
  return { key: fingerprintOf(rule, all), rule, category, labels: all }
}

function keepWorst (found: Map<string, AlertCondition>, condition: AlertCondition | undefined): void {
  if (condition === undefined) return
  const other = found.get(condition.key)
  if (other === undefined || Number(condition.value) > Number(other.value)) found.set(condition.key, condition)
}

/** The conditions that some rules cannot be evaluated, unless the rule that says so is disabled. */
export function failuresOf (
  failed: readonly string[], rules: readonly EvaluatedRule[], labels: Readonly<Record<string, string>> = {}
): AlertCondition[] {
  if (!rules.some(({ rule }) => rule === FAILED)) return []
  return failed.map((rule) => {
    const all = { ...labels, of: rule }
    return {
      key: fingerprintOf(FAILED, all),
      rule: FAILED,
      category: 'monitoring',
      labels: all,
      severity: 'warning',
      message: `The rule ${rule} cannot be evaluated; the log says why`,
      metric: null,
      value: null,
      threshold: null,
      details: null
    }
  })
}
