import { Type, type Static } from '@sinclair/typebox'

const Finite = Type.Number()

/** The learned signals of the adaptive alerts, which the process that evaluates the rules leaves to the next one. */
export const SavedSignals = Type.Array(Type.Object({
  rule: Type.String({ maxLength: 64 }),
  labels: Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 128 })),
  sampledAt: Finite,
  envelope: Type.Array(Finite, { maxItems: 100 }),
  disturbance: Type.Optional(Type.Object({
    view: Type.Union([Type.Literal('sample'), Type.Literal('level'), Type.Literal('hour')]),
    low: Finite,
    high: Finite,
    unusual: Type.Integer({ minimum: 0 }),
    calm: Type.Integer({ minimum: 0 })
  }))
}), { maxItems: 200 })
export type SavedSignals = Static<typeof SavedSignals>
