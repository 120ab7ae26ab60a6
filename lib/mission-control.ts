import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { AccessQuestion, Principal } from '../schemas/access.js'
import type { ChannelName, ChannelPayloads } from '../schemas/channels/index.js'
import type { WsMetrics } from '../schemas/metrics.js'
import type { OptionsInput } from '../schemas/options.js'
import type { Backplane } from './backplane/contract.js'
import type { Clock } from './base/clock.js'
import { checkDrainMs } from './hub/connections/drain.js'
import { createPublisher } from './hub/host-publish.js'
import type { CommandContext, MissionHandlers, Missions } from './missions/index.js'
import type { AlertOptions } from './monitoring/index.js'
import type { Services } from './services.js'

type TypedOptions = 'prefix' | 'alerts' | 'onRequest' | 'clock' | 'access' | 'backplane'

/** Options of `app.register(missionControl, options)`. All are optional; docs/options.md describes each. */
export interface MissionControlOptions extends Omit<OptionsInput, TypedOptions> {
  /** Path in front of every route of the plugin. */
  prefix?: string
  /** Identifies clients and limits what they may do. Without it, guard the routes with `onRequest`. */
  access?: AccessOptions | undefined
  /** The alert rules and how their alerts are sent. */
  alerts?: AlertOptions | undefined
  /** Hooks in front of every route of the plugin, including the WebSocket upgrade. */
  onRequest?: onRequestHookHandler | onRequestHookHandler[] | undefined
  /** The source of time, for tests and replays. */
  clock?: Clock | undefined
  /** Connects the processes of the service, such as `redisBackplane()` returns. Without it, there is only this one. */
  backplane?: Backplane | undefined
}

/** Identifies clients and limits what they may do. A principal may have additional properties of your own. */
export interface AccessOptions<Own extends Principal = Principal> {
  /**
   * Returns the principal that sent a request or an upgrade, within 5 s; called once for each. `null`, an error, a
   * time-out and anything that is not a principal are answered with 401, for an upgrade before the WebSocket opens.
   */
  identify (request: FastifyRequest): Own | null | Promise<Own | null>
  /**
   * Returns the principal of a new token that a client sent over its open connection, within 5 s. Its `id` and `tenant`
   * must be the same as before; otherwise the connection is closed with 4401. Without this function, a connection is
   * closed when its principal expires.
   */
  refresh? (token: string, context: { principal: Own, request: FastifyRequest }): Own | null | Promise<Own | null>
  /**
   * Name of a query parameter in which `identify` accepts a token, see `bearerToken`. Its value is removed from the
   * URLs in the request log of the plugin's routes.
   */
  queryToken?: string | undefined
  /**
   * Returns whether a principal may do something within its tenant. It must be synchronous and fast, because it runs
   * for each mission (`see`). Any result other than `true` denies access. Without this function, a principal may do
   * everything within its tenant.
   */
  authorize? (principal: Own, question: AccessQuestion): boolean
}

/** The type of `app.missions`: handlers receive Fastify's request. */
export type HostMissions = Missions<FastifyRequest>
export type HostHandlers = MissionHandlers<FastifyRequest>
export type HostCommandContext = CommandContext<FastifyRequest>

/** The type of `app.missionControl`. */
export interface MissionControl {
  /** Counters of the WebSocket route, as `GET /mission-control/ws-metrics` shows them. */
  wsMetrics (): WsMetrics
  metrics: {
    /** Renders the Prometheus exposition; `accept` is an HTTP `Accept` header and chooses text or OpenMetrics. */
    render (accept?: string): Promise<{ contentType: string, body: string }>
  }
  /**
   * Publishes your payload to the operators among the subscribers of a channel (without `access`, to all subscribers);
   * with `tenant`, also to the subscribers of this tenant.
   *
   * @throws FST_MC_INVALID_PAYLOAD for an unknown channel or a payload that does not match its schema
   */
  publish<Name extends ChannelName> (
    channel: Name, payload: ChannelPayloads[Name], options?: { tenant?: string }
  ): void
  /**
   * Closes the connections of the principals with this id, or of those for which a function returns `true`, with 4401.
   * Returns their number. Call it when a session ends or a user is locked; the client does not reconnect. If the
   * function throws, `revoke` throws the same error and closes no connection.
   */
  revoke (who: string | ((principal: Principal) => boolean)): number
  /**
   * Closes all connections before the service closes: refuses new ones, sends each client `server_draining` with a
   * different time to reconnect, and closes them in waves over `withinMs` (10 s by default). Resolves when all are
   * closed. It cannot be undone.
   *
   * @throws FST_MC_INVALID_OPTION for a time that is not a whole number of ms up to an hour
   */
  drain (options?: { withinMs?: number }): Promise<void>
}

type MissionControlDeps = Pick<Services, 'hub' | 'exposition' | 'publisher'>

const DRAIN_MS = 10_000

/** The facade over the services. */
export function createMissionControl ({ hub, exposition, publisher }: MissionControlDeps): MissionControl {
  return {
    wsMetrics: () => hub.wsMetrics(),
    metrics: { render: (accept) => exposition.render(accept) },
    publish: createPublisher(publisher),
    revoke: (who) => hub.revoke(typeof who === 'string' ? ({ id }) => id === who : who),
    drain: async ({ withinMs = DRAIN_MS } = {}) => hub.drain(checkDrainMs(withinMs))
  }
}
