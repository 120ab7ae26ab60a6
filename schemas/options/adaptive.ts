import { Type, type Static } from '@sinclair/typebox'
import { group } from './fields.js'

const minDelta = (value: number, description: string) =>
  Type.Union([Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }), Type.Literal(false)], {
    default: value,
    description: `${description} \`false\` turns the signal off.`,
    expected: 'a number of at least 0, or false'
  })

/** The alerts about unusual values. */
export const adaptive = Type.Object({
  enabled: Type.Boolean({ default: true, description: 'Whether unusual values fire alerts.' }),
  sensitivity: Type.Union([Type.Literal('low'), Type.Literal('normal'), Type.Literal('high'), Type.Literal('max')], {
    default: 'normal',
    description: 'How unusual a value must be. `max` misses least and is wrong most often.',
    expected: '"low", "normal", "high" or "max"'
  }),
  minDelta: group({
    active: minDelta(5, 'An excess of active missions that does not matter.'),
    starts: minDelta(5, 'An excess or lack of missions started per minute that does not matter.'),
    endings: minDelta(5, 'A lack of missions ended per minute that does not matter.'),
    errorRatio: minDelta(0.1, 'An excess in the share of failed missions that does not matter.'),
    latency: minDelta(0.5, 'An excess of the p95 or p99 of an operation that does not matter, as a share of it.'),
    duration: minDelta(0.5, 'An excess of the durations of a mission name that does not matter, as a share of them.')
  })
}, {
  additionalProperties: false,
  default: {},
  expected: 'an object with enabled, sensitivity and minDelta',
  description: 'The alerts about unusual values; [operations.md](operations.md#unusual-values) lists their options.'
})

/** The options of the adaptive alerts after defaults were filled in. */
export type AdaptiveOptions = Static<typeof adaptive>
