import { Type, type Static } from '@sinclair/typebox'
import { MissionId, MissionStatus } from './mission.js'

const texts = Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { minItems: 1, maxItems: 16 })

/**
 * Which missions a subscriber wants to hear of: those that fit every condition that is there, and of each condition one value. A mission that
 * has just left `statuses` is told of once more.
 */
export const SubscriptionFilter = Type.Object({
  missionIds: Type.Optional(Type.Array(MissionId, { minItems: 1, maxItems: 64 })),
  names: Type.Optional(texts),
  tags: Type.Optional(texts),
  statuses: Type.Optional(Type.Array(MissionStatus, { minItems: 1, maxItems: 8 }))
}, { additionalProperties: false })
export type SubscriptionFilter = Static<typeof SubscriptionFilter>
