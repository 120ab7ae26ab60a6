import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { AccessQuestion, Principal } from '../schemas/access.js'
import type { ChannelName, ChannelPayloads } from '../schemas/channels/index.js'
import type { WsMetrics } from '../schemas/metrics.js'
import type { OptionsInput } from '../schemas/options.js'
import type { Clock } from './base/clock.js'
import { checkDrainMs } from './hub/connections/drain.js'
import { createPublisher } from './hub/host-publish.js'
import type { CommandContext, MissionHandlers, Missions } from './missions/index.js'
import type { Services } from './services.js'

/** Options of `app.register(missionControl, options)`. All are optional; docs/options.md describes each. */
export interface MissionControlOptions extends Omit<OptionsInput, 'prefix' | 'onRequest' | 'clock' | 'access'> {
  /** Path in front of every route of the plugin. */
  prefix?: string
  /** Who is asking, and what they may do. Without it, the host guards the routes by `onRequest`. */
  access?: AccessOptions | undefined
  /** Hooks in front of every route of the plugin, including the WebSocket upgrade. */
  onRequest?: onRequestHookHandler | onRequestHookHandler[] | undefined
  /** The source of time, for tests and replays. */
  clock?: Clock | undefined
}

/** Who is asking, and what they may do. A principal may have properties of the host's own. */
export interface AccessOptions<Own extends Principal = Principal> {
  /**
   * Says who sent a request or an upgrade, once for each, within 5 s. `null` is nobody: the answer is 401, for an
   * upgrade before the WebSocket opens. So is an error, a time-out, and anything that is not a principal.
   */
  identify (request: FastifyRequest): Own | null | Promise<Own | null>
  /**
   * Says who sent a new token over an open connection, within 5 s. It must be the same principal, of the same tenant;
   * otherwise the connection is closed with 4401. Without it, a connection is closed when its principal expires.
   */
  refresh? (token: string, context: { principal: Own, request: FastifyRequest }): Own | null | Promise<Own | null>
  /**
   * Query parameter in which `identify` accepts a token, see `bearerToken`. Its value is removed from the URLs that
   * requests to the routes of the plugin log.
   */
  queryToken?: string | undefined
  /**
   * Decides what a principal may do within its tenant. Synchronous and cheap: `see` is asked for each mission. Any
   * result other than `true` denies access. Without it, a principal may do everything within its tenant.
   */
  authorize? (principal: Own, question: AccessQuestion): boolean
}

/** What the host gets as `app.missions`: its handlers receive Fastify's request. */
export type HostMissions = Missions<FastifyRequest>
export type HostHandlers = MissionHandlers<FastifyRequest>
export type HostCommandContext = CommandContext<FastifyRequest>

/** What the host gets as `app.missionControl`. */
export interface MissionControl {
  /** Counters of the WebSocket route, as `GET /mission-control/ws-metrics` shows them. */
  wsMetrics (): WsMetrics
  metrics: {
    /** Renders the Prometheus exposition; `accept` is an HTTP `Accept` header and chooses text or OpenMetrics. */
    render (accept?: string): Promise<{ contentType: string, body: string }>
  }
  /**
   * Publishes a payload of the host to the subscribers of a channel that see all tenants; with `tenant` also to those
   * of this tenant.
   *
   * @throws FST_MC_INVALID_PAYLOAD for an unknown channel or a payload that does not match its schema
   */
  publish<Name extends ChannelName> (
    channel: Name, payload: ChannelPayloads[Name], options?: { tenant?: string }
  ): void
  /**
   * Closes the connections of a principal, or of all principals that a function returns `true` for, with 4401. Returns
   * how many there were. To be called when a session ends or a user is locked; the client does not connect again. What
   * the function throws is passed on, and no connection is closed then.
   */
  revoke (who: string | ((principal: Principal) => boolean)): number
  /**
   * Closes all connections before the service closes: refuses new ones, sends each client `server_draining` with its
   * own time to reconnect, and closes them in waves over `withinMs` (10 s by default). Resolves when all are closed. It
   * cannot be undone.
   *
   * @throws FST_MC_INVALID_OPTION for a time that is not a whole number of ms up to an hour
   */
  drain (options?: { withinMs?: number }): Promise<void>
}

type MissionControlDeps = Pick<Services, 'hub' | 'exposition'>

const DRAIN_MS = 10_000

/** The facade over the services. */
export function createMissionControl ({ hub, exposition }: MissionControlDeps): MissionControl {
  return {
    wsMetrics: () => hub.wsMetrics(),
    metrics: { render: (accept) => exposition.render(accept) },
    publish: createPublisher(hub),
    revoke: (who) => hub.revoke(typeof who === 'string' ? ({ id }) => id === who : who),
    drain: async ({ withinMs = DRAIN_MS } = {}) => hub.drain(checkDrainMs(withinMs))
  }
}
