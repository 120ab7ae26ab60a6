import { Type, type Static } from '@sinclair/typebox'
import type { ChannelName } from './channels/index.js'

/**
 * Who is asking: a person or a program. A principal of a tenant sees the missions of that tenant alone; one without a
 * tenant is an operator and sees all. `expiresAt` is in ms since 1970. A host may add properties of its own, which
 * `authorize` gets back.
 */
export const Principal = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 256 }),
  tenant: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  roles: Type.Optional(Type.Array(Type.String({ maxLength: 128 }), { maxItems: 256 })),
  expiresAt: Type.Optional(Type.Number())
})
export type Principal = Static<typeof Principal>

/**
 * What a principal may be allowed to do. `see` is asked for each mission, `subscribe` and `replay` for a channel,
 * `metrics` and `health_details` over HTTP.
 */
export const ACCESS_ACTIONS = [
  'subscribe', 'replay', 'see', 'start', 'cancel', 'metrics', 'health_details'
] as const
export type AccessAction = (typeof ACCESS_ACTIONS)[number]

/** What `authorize` can decide by. All of it stays the same for the whole life of an attempt. */
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
  /** With `subscribe` and `replay`. */
  channel?: ChannelName
  /** With `see` and `cancel`. */
  mission?: MissionSubject
}
