import { defineMetrics, type MetricDefinition } from '../metric.js'
import { toLabelValue } from '../samples.js'
import type { AlertTotals } from '../../monitoring/index.js'

/** The alerts of the plugin's own rules. */
export function describeAlertMetrics (prefix: string, alerts: () => AlertTotals): MetricDefinition[] {
  return defineMetrics(prefix, alerts, [
    {
      name: 'alerts_firing',
      type: 'gauge',
      help: 'Alerts of the plugin that are firing, by rule and severity.',
      labels: ['rule', 'severity'],
      series: 'rules × severities',
      query: 'sum by (rule, severity) (METRIC) > 0',
      read: ({ firing }) => firing.map(({ rule, severity, count }) =>
        ({ labels: { rule: toLabelValue(rule), severity }, value: count }))
    },
    {
      name: 'alert_transitions_total',
      type: 'counter',
      help: 'How often alerts of the plugin have started to fire or were resolved, by rule.',
      labels: ['rule', 'state'],
      series: 'rules × states',
      query: 'sum by (rule) (increase(METRIC{state="firing"}[1d]))',
      read: ({ transitions }) => transitions.map(({ rule, state, count }) =>
        ({ labels: { rule: toLabelValue(rule), state }, value: count }))
    }
  ])
}
