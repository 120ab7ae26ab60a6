import { Type, type Static } from '@sinclair/typebox'
import { MissionId, MissionStatus } from './mission.js'

const texts = Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { minItems: 1, maxItems: 16 })

/**
 * Selects the missions that a subscriber receives. A mission must match every given condition, and one value of each.
 * When a mission leaves `statuses`, its update is still sent once.
 */
export const SubscriptionFilter = Type.Object({
  missionIds: Type.Optional(Type.Array(MissionId, { minItems: 1, maxItems: 64 })),
  names: Type.Optional(texts),
  tags: Type.Optional(texts),
  statuses: Type.Optional(Type.Array(MissionStatus, { minItems: 1, maxItems: 8 }))
}, { additionalProperties: false })
export type SubscriptionFilter = Static<typeof SubscriptionFilter>
