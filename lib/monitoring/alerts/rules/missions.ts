import { defineRule, formatDuration, formatShare, type AlertRule } from '../alert-rule.js'
import type { EndedFact } from '../facts/alert-facts.js'

/** Cancels that follow from something else, which is not a storm. */
const CONSEQUENCES: ReadonlySet<string | undefined> = new Set(['parent', 'shutdown', 'skipped', 'superseded'])

const count = (missions: number): string => missions === 1 ? '1 mission' : `${missions} missions`

/** The rules about how many missions run and how they end. */
export const MISSION_RULES: readonly AlertRule[] = [
  defineRule({
    rule: 'mission_active',
    category: 'mission',
    isAboutMissions: true,
    wakes: 'The person on call, when more work runs than the service was made for. Stalled missions do not count.',
    read: ({ missions: { load, totals } }, { warning, critical }) => [{
      metric: 'active',
      value: load,
      limits: { warning, critical },
      text: `${count(load)} ${load === 1 ? 'is' : 'are'} active`,
      describe: (limit) => `more than ${limit}`,
      ...totals.stalled > 0 && { details: { stalled: totals.stalled } }
    }]
  }),
  defineRule({
    rule: 'mission_error_rate',
    category: 'mission',
    isAboutMissions: true,
    wakes: 'The person on call, when a large share of the missions of the last minutes failed.',
    read ({ missions: { recent, totals, errorGroups } }, { warning, critical, minEnded, window }) {
      const isLifetime = window === 'lifetime'
      const ended = isLifetime ? totals.completed + totals.cancelled + totals.errors : recent.length
      const errors = isLifetime ? totals.errors : failed(recent).length
      if (ended < minEnded) return []
      const [top] = errorGroups
      return [{
        metric: 'error_rate',
        value: errors / ended,
        limits: { warning, critical },
        text: `${errors} of ${ended} ended missions failed`,
        describe: (limit) => `more than ${formatShare(limit)}`,
        details: top === undefined ? null : { error: top.code, errorMessage: top.message, errors: top.missions.length }
      }]
    }
  }),
  defineRule({
    rule: 'missions_stalled',
    category: 'mission',
    isAboutMissions: true,
    wakes: 'The owner of the work, when missions show no activity for so long that they will not end by themselves. ' +
      'Each one is named once.',
    read ({ now, missions: { stalled } }, { stalledMs, critical }) {
      const stuck = stalled.filter(({ updatedAt }) => now - updatedAt >= stalledMs)
      return [{
        metric: 'stalled',
        value: stuck.length,
        limits: { warning: 0, critical: critical - 1 },
        text: `${count(stuck.length)} ${stuck.length === 1 ? 'shows' : 'show'} no activity`,
        describe: () => `for more than ${formatDuration(stalledMs)} since they stalled`,
        missions: stuck.map(({ id, updatedAt }) => ({ id, since: updatedAt })),
        namesEach: true
      }]
    }
  }),
  defineRule({
    rule: 'cancel_storm',
    category: 'mission',
    isAboutMissions: true,
    wakes: 'The person on call, when users or timeouts cancel most of the missions.',
    read ({ missions: { recent } }, { warning, minEnded }) {
      const ended = recent.filter(({ cancelKind }) => !CONSEQUENCES.has(cancelKind))
      if (ended.length < minEnded) return []
      const cancelled = ended.filter(({ status }) => status === 'cancelled').length
      return [{
        metric: 'cancel_rate',
        value: cancelled / ended.length,
        limits: { warning },
        text: `${cancelled} of ${ended.length} ended missions were cancelled`,
        describe: (limit) => `more than ${formatShare(limit)}`
      }]
    }
  }),
  defineRule({
    rule: 'repeated_error',
    category: 'mission',
    isAboutMissions: true,
    wakes: 'The developers, when many missions fail for the same reason. The message says which.',
    read: ({ missions: { errorGroups, recent } }, { least, share }) => errorGroups.map((group) => ({
      labels: { error: group.key },
      metric: 'errors',
      value: group.missions.length,
      limits: { warning: Math.max(least - 1, share * recent.length) },
      text: `${count(group.missions.length)} failed with ${group.code}: ${group.message}`,
      describe: () => `at least ${least} and ${formatShare(share)} of all within 15 minutes`,
      details: { error: group.code, errorMessage: group.message }
    }))
  })
]

const failed = (missions: readonly EndedFact[]): EndedFact[] => missions.filter(({ status }) => status === 'error')
