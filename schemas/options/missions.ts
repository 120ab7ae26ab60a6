import { Type } from '@sinclair/typebox'
import { LONGEST_TIMER_MS } from '../limits.js'
import { count, group, milliseconds, serializer } from './fields.js'

/** How missions are tracked, and what of them is kept. */
export const missions = group({
  maxActive: count({
    default: 10_000,
    minimum: 1,
    maximum: 10_000_000,
    description: 'Maximum number of active missions. Starting one more throws `FST_MC_TOO_MANY_MISSIONS`.'
  }),
  timeoutMs: Type.Optional(Type.Integer({
    minimum: 1,
    maximum: LONGEST_TIMER_MS,
    description: 'Time after which a mission is cancelled, unless the mission sets its own timeout; no timeout by ' +
      'default.'
  })),
  cancelGraceMs: milliseconds(10_000,
    'How long a mission may take to end after a cancel request. Then it is forced to `cancelled`.'),
  closeGraceMs: milliseconds(5_000,
    'Grace period during shutdown: how long active missions may take to end before they are forced to `cancelled`.'),
  stallMs: milliseconds(300_000, 'Time without activity after which a mission counts as stalled.'),
  onStall: Type.Union([Type.Literal('flag'), Type.Literal('cancel'), Type.Literal('error')], {
    default: 'flag',
    description: 'What happens to a stalled mission: only flagged, asked to cancel, or ended as `error`.',
    expected: '"flag", "cancel" or "error"'
  }),
  endedRetentionMs: milliseconds(3_600_000,
    'How long ended missions can be looked up. Failed missions are kept for 24 hours, or for this time if it is ' +
      'longer.'),
  maxEnded: count({
    default: 1_000,
    minimum: 0,
    maximum: 10_000_000,
    description: 'Number of ended missions that can be looked up. The limit applies separately to failed missions.'
  }),
  maxProgressPerSecond: count({
    default: 10,
    minimum: 1,
    maximum: 1_000,
    description: 'Maximum number of progress messages per second for one mission. The newest progress wins and the ' +
      'last one is always sent.'
  }),
  maxInlineBytes: count({
    default: 32_768,
    minimum: 8_192,
    maximum: 8_388_608,
    description: 'Largest `planningSession` sent whole; a larger one is truncated. One entry of `tasksSummary` may ' +
      'take 1/32 of it, a whole `mission_update` twice as much.'
  }),
  maxMetadataBytes: count({
    default: 4_096,
    minimum: 64,
    maximum: 1_048_576,
    description: 'Largest `metadata` kept whole; larger metadata is truncated.'
  }),
  serializers: group({
    planningSession: Type.Optional(serializer('the plan')),
    task: Type.Optional(serializer('an entry of `tasksSummary`')),
    error: Type.Optional(serializer('the thrown error')),
    objective: Type.Optional(serializer('the objective'))
  })
})
