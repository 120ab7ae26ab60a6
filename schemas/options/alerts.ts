import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { LONGEST_TIMER_MS } from '../limits.js'
import { adaptive } from './adaptive.js'
import { group, hostValue } from './fields.js'

const MINUTE = 60_000

interface RuleTimes { forMs?: number, keepMs?: number, repeatMs?: number }

/** A duration that may be 0. */
const duration = (defaultMs: number, description: string) =>
  Type.Integer({ minimum: 0, maximum: LONGEST_TIMER_MS, default: defaultMs, description })

const limit = (value: number, description: string) =>
  Type.Number({ minimum: 0, default: value, description, expected: 'a number from 0' })

const whole = (value: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 1_000_000, default: value, description })

const REPEAT_TEXT = 'Time until a firing alert of this rule is sent again as a reminder; 0 disables reminders. ' +
  'By default `alerts.repeatMs`.'

/** The options of one rule: the common options, and its own. */
const rule = <Own extends Record<string, TSchema>>(own: Own, times: RuleTimes = {}) => group({
  enabled: Type.Boolean({ default: true, description: 'Whether the rule is evaluated.' }),
  ...own,
  forMs: duration(times.forMs ?? MINUTE, 'How long the condition must be true before the alert fires.'),
  keepMs: duration(times.keepMs ?? 5 * MINUTE, 'How long the condition must be false before the alert is resolved.'),
  repeatMs: Type.Optional(Type.Integer({
    minimum: 0,
    maximum: LONGEST_TIMER_MS,
    description: REPEAT_TEXT,
    ...times.repeatMs !== undefined && { default: times.repeatMs }
  }))
})

/** The options of every rule, by its name. To add a rule, add it here and in the table of rules. */
const rules = Type.Object({
  mission_active: rule({
    warning: limit(10, 'A warning fires above this number of active missions, without stalled ones.'),
    critical: limit(25, 'The alert is critical above this number of active missions, without stalled ones.')
  }),
  mission_error_rate: rule({
    warning: limit(0.3, 'A warning fires above this share of failed missions among those that ended.'),
    critical: limit(0.5, 'The alert is critical above this share of failed missions among those that ended.'),
    minEnded: whole(5, 'The rule needs this number of ended missions.'),
    window: Type.Union([Type.Literal('recent'), Type.Literal('lifetime')], {
      default: 'recent',
      description: 'Missions that count: the last 200 that ended within 15 minutes, or all since the start.',
      expected: '"recent" or "lifetime"'
    })
  }),
  missions_stalled: rule({
    stalledMs: duration(5 * MINUTE, 'How long a mission must be stalled, in addition to `missions.stallMs`.'),
    critical: whole(10, 'The alert is critical from this number of stalled missions on.')
  }, { repeatMs: 0 }),
  oldest_active: rule({
    minMs: duration(10 * MINUTE, 'A younger mission never fires an alert.'),
    factor: limit(3, 'A mission is too old after this many times the p95 of the durations of its name.'),
    minSamples: whole(10, 'The rule needs this number of ended missions of the same name.')
  }),
  duration_outlier: rule({
    minSamples: whole(30, 'The rule needs this number of ended missions of the same name.'),
    score: limit(3.5, 'A duration is an outlier above this modified z-score of its logarithm.'),
    factor: limit(2, 'A duration is an outlier only above this many times the p95 of its name.'),
    minMs: duration(5 * MINUTE, 'A shorter duration is never an outlier.')
  }, { forMs: 0, keepMs: 15 * MINUTE }),
  backlog_growth: rule({
    least: limit(10, 'The alert fires above this growth of active missions within 15 minutes.'),
    share: limit(0.5, 'The growth must also be above this share of the active missions.')
  }),
  throughput_drop: rule({
    minMs: duration(10 * MINUTE, 'A shorter time without an ending never fires an alert.'),
    factor: limit(5, 'The alert fires after this many times the median time between two endings.'),
    minEnded: whole(20, 'The rule needs this number of ended missions.')
  }),
  cancel_storm: rule({
    warning: limit(0.5, 'A warning fires above this share of cancelled missions among those that ended.'),
    minEnded: whole(5, 'The rule needs this number of ended missions within 15 minutes.')
  }),
  repeated_error: rule({
    least: whole(5, 'The alert fires when this number of missions failed with the same error within 15 minutes.'),
    share: limit(0.1, 'The alert fires only if more than this share of the missions that ended have the error.')
  }),
  health_component: rule({}),
  health_response_time: rule({
    warningMs: limit(1_000, 'A warning fires when a health check takes longer.')
  }),
  event_loop_late: rule({
    warningMs: limit(200, 'A warning fires when timers of the process run later than this.'),
    criticalMs: limit(1_000, 'The alert is critical when timers of the process run later than this.')
  }),
  slow_consumers: rule({
    least: limit(10, 'The alert fires when more clients than this were disconnected within 15 minutes, because they ' +
      'read too slowly.')
  }),
  metric_missing: rule({
    minMs: duration(15 * MINUTE, 'A shorter silence never fires an alert.'),
    factor: limit(3, 'The alert fires after this many times the longest silence so far.'),
    minReports: whole(100, 'The operation must have been reported in this number of evaluations.')
  }),
  metric_flat: rule({
    minMs: duration(30 * MINUTE, 'The alert fires when the mean duration was the same for longer.'),
    minChanges: whole(20, 'The mean duration must have changed this number of times before.')
  }),
  'monitoring.evaluation_failed': rule({}),
  'monitoring.alerts_suppressed': rule({}, { forMs: 0, keepMs: MINUTE })
}, {
  additionalProperties: false,
  default: {},
  expected: 'an object whose keys are names of rules',
  description: 'The rules by name; [operations.md](operations.md#options-of-the-rules) lists the options of each.'
})

/** An alert rule of the host, as the plugin's public options type describes it. */
type HostRuleObject = object

/** The alert rules and how their alerts are sent. */
export const alerts = group({
  repeatMs: duration(240 * MINUTE, 'Time until a firing alert is sent again as a reminder; 0 disables reminders.'),
  rules,
  adaptive,
  add: Type.Optional(Type.Array(hostValue<HostRuleObject>('object', 'a rule object', 'A rule.'), {
    maxItems: 100,
    description: 'Rules of your own; see the page on operations.',
    expected: 'a list of up to 100 rules'
  }))
})

/** The options of the alerts after defaults were filled in. */
export type AlertsOptions = Static<typeof alerts>
export type AlertRulesOptions = AlertsOptions['rules']
export type AlertRuleName = keyof AlertRulesOptions
/** The options that every rule has. */
export type AlertRuleOptions = AlertRulesOptions['health_component']
