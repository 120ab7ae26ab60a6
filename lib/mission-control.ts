import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { ChannelName, ChannelPayloads } from '../schemas/channels/index.js'
import type { WsMetrics } from '../schemas/metrics.js'
import type { OptionsInput, SubscriptionRequest } from '../schemas/options.js'
import type { Clock } from './base/clock.js'
import { checkDrainMs } from './hub/connections/drain.js'
import { createPublisher } from './hub/host-publish.js'
import type { CommandContext, MissionHandlers, Missions } from './missions/index.js'
import type { Services } from './services.js'

/** Options of `app.register(missionControl, options)`. All are optional; docs/options.md describes each. */
export interface MissionControlOptions extends Omit<OptionsInput, 'prefix' | 'onRequest' | 'clock' | 'websocket'> {
  /** Path in front of every route of the plugin. */
  prefix?: string
  websocket?: (Omit<NonNullable<OptionsInput['websocket']>, 'authorize'> & {
    /**
     * Decides whether a client may subscribe to a channel, and whether it may replay what it missed. Synchronous:
     * decide from what the host's hooks put on the request that opened the connection. Any result other than `true`
     * denies access.
     */
    authorize?: ((request: FastifyRequest, asked: SubscriptionRequest) => boolean) | undefined
  }) | undefined
  /** Hooks in front of every route of the plugin, including the WebSocket upgrade. */
  onRequest?: onRequestHookHandler | onRequestHookHandler[] | undefined
  /** The source of time, for tests and replays. */
  clock?: Clock | undefined
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
   * Publishes a payload of the host to all subscribers of a channel.
   *
   * @throws FST_MC_INVALID_PAYLOAD for an unknown channel or a payload that does not match its schema
   */
  publish<Name extends ChannelName> (channel: Name, payload: ChannelPayloads[Name]): void
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
    drain: async ({ withinMs = DRAIN_MS } = {}) => hub.drain(checkDrainMs(withinMs))
  }
}
