import type { HealthComponent, HealthSnapshot } from '../../../../schemas/health.js'
import { defineRule, formatDuration, type AlertRule } from '../alert-rule.js'

/** The rules about the service itself: its health, its process and its clients. */
export const SERVICE_RULES: readonly AlertRule[] = [
  defineRule({
    rule: 'health_component',
    category: 'health',
    isAboutMissions: false,
    wakes: 'The person on call, when a component is unhealthy.',
    read: ({ health }) => components(health).map(([name, { status, error }]) => ({
      labels: { component: name },
      metric: null,
      value: status === 'unhealthy' ? 1 : 0,
      limits: { critical: 0 },
      text: `The component ${name} is unhealthy`,
      details: { component: name, error }
    }))
  }),
  defineRule({
    rule: 'health_response_time',
    category: 'health',
    isAboutMissions: false,
    wakes: 'The person on call during working hours, when a component responds slowly.',
    read: ({ health }, { warningMs }) => components(health).map(([name, { responseTimeMs }]) => ({
      labels: { component: name },
      metric: 'response_time_ms',
      value: responseTimeMs ?? 0,
      limits: { warning: warningMs },
      text: `The component ${name} took ${formatDuration(responseTimeMs ?? 0)} to respond`,
      describe: (limit) => `more than ${formatDuration(limit)}`,
      details: { component: name }
    }))
  }),
  defineRule({
    rule: 'event_loop_late',
    category: 'monitoring',
    isAboutMissions: false,
    wakes: 'The person on call, when the process is so busy that timers and messages are late.',
    read: ({ processes }, { warningMs, criticalMs }) => processes?.map(({ instance, facts }) => ({
      ...labelsOf(instance),
      metric: 'event_loop_delay_ms',
      value: facts?.eventLoopDelayMs,
      limits: { warning: warningMs, critical: criticalMs },
      text: `The event loop${placeOf(instance)} is ${formatDuration(Number(facts?.eventLoopDelayMs))} late`,
      describe: (limit) => `more than ${formatDuration(limit)}`
    }))
  }),
  defineRule({
    rule: 'slow_consumers',
    category: 'monitoring',
    isAboutMissions: false,
    wakes: 'The developers, when many clients are disconnected because they read too slowly.',
    read: ({ processes }, { least }) => processes?.map(({ instance, facts }) => ({
      ...labelsOf(instance),
      metric: 'slow_consumers',
      value: facts?.slowConsumers,
      limits: { warning: least },
      text: `${facts?.slowConsumers} clients${placeOf(instance)} were disconnected within 15 minutes, because they ` +
        'read too slowly',
      describe: (limit) => `more than ${limit}`
    }))
  }),
  defineRule({
    rule: 'metric_missing',
    category: 'monitoring',
    isAboutMissions: false,
    wakes: 'Nobody: it informs the developers of an operation that is no longer reported, while others are.',
    read: ({ operations }, { minMs, factor, minReports }) => operations
      .filter(({ reports }) => reports >= minReports)
      .map(({ component, operation, silentMs, longestSilentMs }) => ({
        labels: { component, operation },
        metric: 'silent_ms',
        value: silentMs,
        limits: { info: Math.max(minMs, factor * longestSilentMs) },
        text: `The operation ${operation} of ${component} was not reported for ${formatDuration(silentMs)}`,
        describe: (limit) => `more than ${formatDuration(limit)}`
      }))
  }),
  defineRule({
    rule: 'metric_flat',
    category: 'monitoring',
    isAboutMissions: false,
    wakes: 'Nobody: it informs the developers of an operation whose duration does not change any more.',
    read: ({ operations }, { minMs, minChanges }) => operations
      .filter(({ means }) => means >= minChanges)
      .map(({ component, operation, unchangedMs, meanMs }) => ({
        labels: { component, operation },
        metric: 'unchanged_ms',
        value: unchangedMs,
        limits: { info: minMs },
        text: `The operation ${operation} of ${component} always takes ${formatDuration(meanMs)}`,
        describe: (limit) => `for more than ${formatDuration(limit)}`
      }))
  })
]

const labelsOf = (instance: string | undefined) => instance === undefined ? {} : { labels: { instance } }
const placeOf = (instance: string | undefined): string => instance === undefined ? '' : ` of ${instance}`

const components = (health: HealthSnapshot): Array<[string, HealthComponent]> => Object.entries(health.components)
