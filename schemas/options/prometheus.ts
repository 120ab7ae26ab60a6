import { Type } from '@sinclair/typebox'
import { count, group, hostValue } from './fields.js'

/** A year. */
const LONGEST_BOUND_MS = 31_536_000_000

const Bound = Type.Number({ exclusiveMinimum: 0, maximum: LONGEST_BOUND_MS, expected: 'a number from 0 to a year' })

/** Upper bounds of the buckets of a histogram. */
const buckets = (defaultMs: number[], description: string) => Type.Array(Bound, {
  minItems: 1,
  maxItems: 64,
  host: 'ascending',
  default: defaultMs,
  description,
  expected: 'a list of 1 to 64 numbers above 0, each larger than the one before it'
})

/** Upper bounds of the buckets for durations of operations; longer ones are counted in one more bucket. */
export const OPERATION_BUCKETS_MS = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000
]

/** The same for missions, from 100 ms to a day. */
export const MISSION_BUCKETS_MS = [
  100, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 14_400_000,
  86_400_000
]

/** The metrics exposed to Prometheus. */
export const prometheus = group({
  registry: Type.Optional(hostValue<object>('object', 'a prom-client Registry',
    'prom-client registry of the host that the metrics are added to. Without it the plugin uses a private registry.')),
  prefix: Type.String({
    pattern: '^[a-zA-Z_:][a-zA-Z0-9_:]*$',
    maxLength: 64,
    default: 'mission_control_',
    description: 'Prefix of all metric names except the seven `oneagent_mission_*` gauges.'
  }),
  scope: Type.Union([Type.Literal('process'), Type.Literal('cluster')], {
    default: 'process',
    description: 'Missions counted by the mission gauges: those of this process, to be summed by Prometheus, or ' +
      'those of all processes that share the backplane.',
    expected: '"process" or "cluster"'
  }),
  operationBucketsMs: buckets(OPERATION_BUCKETS_MS,
    'Upper bounds of the buckets in which durations of operations are counted. Each bucket is a series per operation.'),
  missionBucketsMs: buckets(MISSION_BUCKETS_MS,
    'Upper bounds of the buckets in which durations of missions are counted.'),
  missionNames: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
    maxItems: 200,
    description: 'Adds metrics by mission name for these names; all other missions are added up as `_other`. Without ' +
      'it, no metric names a mission.',
    expected: 'a list of up to 200 names'
  })),
  tenants: Type.Optional(Type.Object({
    max: count({
      default: 20,
      minimum: 1,
      maximum: 1_000,
      description: 'Number of tenants with series of their own; all other missions are added up as `_other`.'
    }),
    allow: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
      maxItems: 1_000,
      description: 'The only tenants with series of their own. Without it, the first `max` tenants have them.',
      expected: 'a list of tenants'
    }))
  }, { additionalProperties: false, description: 'Adds metrics by tenant. Without it, no metric names a tenant.' }))
})
