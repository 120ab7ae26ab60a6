import { defineRule, formatDuration, formatShare, type AlertRule } from '../alert-rule.js'
import type { MissionFacts } from '../facts/alert-facts.js'

/** The rules about how long missions take, and whether they get done. */
export const DURATION_RULES: readonly AlertRule[] = [
  defineRule({
    rule: 'oldest_active',
    category: 'performance',
    isAboutMissions: true,
    wakes: 'The owner of the work, when a mission that still shows activity takes much longer than others of its name.',
    read ({ now, missions: { oldest, names } }, { minMs, factor, minSamples }) {
      const found = new Set<string>()
      return oldest.flatMap(({ id, name, startedAt, waiting }) => {
        const { count, p95Ms } = names.get(name) ?? { count: 0, p95Ms: 0 }
        if (waiting !== null || found.has(name) || count < minSamples) return []
        found.add(name)
        const age = now - startedAt
        return {
          labels: { name },
          metric: 'age_ms',
          value: age,
          limits: { warning: Math.max(minMs, factor * p95Ms) },
          text: `A mission ${name} runs for ${formatDuration(age)}`,
          describe: (limit: number) => `more than ${formatDuration(limit)}; 95 % took up to ${formatDuration(p95Ms)}`,
          missions: [{ id, since: startedAt }]
        }
      })
    }
  }),
  defineRule({
    rule: 'duration_outlier',
    category: 'performance',
    isAboutMissions: true,
    wakes: 'Nobody: it informs the developers of a mission that took much longer than others of its name.',
    read: ({ missions: { outliers } }, { minSamples, score, factor, minMs }) => outliers
      .filter((one) => one.samples >= minSamples && one.score > score)
      .map(({ id, name, durationMs, p95Ms }) => ({
        labels: { name },
        metric: 'duration_ms',
        value: durationMs,
        limits: { info: Math.max(minMs, factor * p95Ms) },
        text: `A mission ${name} took ${formatDuration(durationMs)}`,
        describe: (limit) => `more than ${formatDuration(limit)}; 95 % took up to ${formatDuration(p95Ms)}`,
        missions: [{ id, since: 0 }]
      }))
  }),
  defineRule({
    rule: 'backlog_growth',
    category: 'mission',
    isAboutMissions: true,
    wakes: 'The person on call, when missions start faster than they end for a quarter of an hour.',
    read ({ missions: { loads } }, { least, share }) {
      const [first, ...later] = loads
      const last = later.at(-1)
      if (first === undefined || last === undefined || loads.length < 4) return []
      const isGrowing = loads.every((load, at) => at === 0 || load > loads[at - 1]!)
      return [{
        metric: 'backlog_growth',
        value: isGrowing ? last - first : 0,
        limits: { warning: Math.max(least, share * last) },
        text: `${last - first} more missions are active than 15 minutes ago`,
        describe: (limit) => `more than ${Math.round(limit)}, or ${formatShare(share)} of all`
      }]
    }
  }),
  defineRule({
    rule: 'throughput_drop',
    category: 'performance',
    isAboutMissions: true,
    wakes: 'The person on call, when missions are active and none ends for much longer than usual.',
    read ({ now, missions }, { minMs, factor, minEnded }) {
      const { sinceEndingMs, medianGapMs, gaps } = missions
      const [oldest] = missions.oldest
      if (oldest === undefined || sinceEndingMs === undefined || medianGapMs === undefined || gaps < minEnded) return []
      // While nothing was active, nothing could end.
      const idle = Math.min(sinceEndingMs, now - oldest.startedAt)
      return [{
        metric: 'since_ending_ms',
        value: idle,
        limits: { warning: Math.max(minMs, factor * medianGapMs, longestUsual(missions)) },
        text: `${missions.load} missions are active, and none has ended for ${formatDuration(idle)}`,
        describe: (limit) => `more than ${formatDuration(limit)}`
      }]
    }
  })
]

// A mission of a kind that takes long is not late before its time.
const longestUsual = ({ oldest, names }: MissionFacts): number =>
  Math.max(0, ...oldest.map(({ name }) => names.get(name)?.p95Ms ?? 0))
