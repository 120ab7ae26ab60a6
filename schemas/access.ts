import { Type, type Static } from '@sinclair/typebox'
import type { ChannelName } from './channels/index.js'

/**
 * A user or a program. A principal with a tenant sees the missions of that tenant only. A principal without a tenant is
 * an operator and sees all missions. `expiresAt` is in ms since 1970. A host may add properties of its own;
 * `authorize` receives them.
 */
export const Principal = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 256 }),
  tenant: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  roles: Type.Optional(Type.Array(Type.String({ maxLength: 128 }), { maxItems: 256 })),
  expiresAt: Type.Optional(Type.Number())
})
export type Principal = Static<typeof Principal>

/**
 * The actions that `authorize` decides about: `see` and `cancel` for a mission, `subscribe` and `replay` for a channel,
 * `metrics` and `health_details` for HTTP routes.
 */
export const ACCESS_ACTIONS = [
  'subscribe', 'replay', 'see', 'start', 'cancel', 'metrics', 'health_details'
] as const
export type AccessAction = (typeof ACCESS_ACTIONS)[number]

/** The properties of a mission that `authorize` receives. They never change within an attempt. */
export interface MissionSubject {
  readonly id: string
  readonly name: string
  readonly tenant: string | null
  readonly tags: readonly string[]
  /** As it was at the first report of the attempt; a copy. */
  readonly metadata: unknown
}

/** One question to `authorize`. */
export interface AccessQuestion {
  action: AccessAction
  /** Set for `subscribe` and `replay`. */
  channel?: ChannelName
  /** Set for `see` and `cancel`, except for the `cancel` of `whoami`: whether the principal may cancel any mission. */
  mission?: MissionSubject
}
