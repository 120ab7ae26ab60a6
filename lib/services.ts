import type { FastifyBaseLogger } from 'fastify'
import type { MissionSubject } from '../schemas/access.js'
import type { Anomaly } from '../schemas/anomaly.js'
import type { ChannelName } from '../schemas/channels/index.js'
import type { HealthSnapshot } from '../schemas/health.js'
import { PROTOCOL_VERSION } from '../schemas/messages/envelope.js'
import type { ResolvedOptions } from '../schemas/options.js'
import type { Viewer } from './access/viewer.js'
import { Access, type AccessRules } from './access/access.js'
import type { Backplane, PublicationEntry } from './backplane/contract.js'
import { CallbackErrors } from './base/callback-errors.js'
import { systemClock, type Clock } from './base/clock.js'
import type { Unsubscribe } from './base/events.js'
import type { AlertSource } from './channels/anomaly-alert.js'
import { createChannels, type ChannelsDeps } from './channels/index.js'
import type { AlertOrigin } from './cluster/alerts/published-alerts.js'
import { createCore, type Core } from './core.js'
import { createPublisher, isReliablePayload, type PublishPort } from './hub/host-publish.js'
import { Hub } from './hub/hub.js'
import { createMissionLookup, toUpdate } from './missions/index.js'
import { withoutMissions, type MonitoringService } from './monitoring/index.js'
import { Exposition } from './prometheus/exposition.js'
import { VERSION } from './prometheus/version.js'

/** The engines behind the decorators. */
export interface Services extends Core {
  access: Access
  hub: Hub
  exposition: Exposition
  /** Where the host publishes. */
  publisher: PublishPort
  /** The health of this process, for its own routes. */
  health: () => HealthSnapshot
}

export interface ServicesDeps { options: ResolvedOptions, clock: Clock, log: FastifyBaseLogger }

/**
 * Builds the domain, the hub with its channels, and the exposition, in this order: each knows only what stands before
 * it.
 */
export function createServices ({ options, clock, log }: ServicesDeps): Services {
  const callbackErrors = new CallbackErrors(log)
  const access = new Access({
    rules: options.access as AccessRules | undefined, clock, onCallbackError: callbackErrors.report
  })
  const backplane = options.backplane as Backplane | undefined
  const core = createCore({ options: { ...options, backplane }, clock, log, access, callbackErrors })
  const { missions, monitoring, cluster } = core
  const hub = createHub({ ...core, options, clock, access, onCallbackError: callbackErrors.report })
  // The event loop runs in real time, so its delay means nothing on another clock.
  if (clock === systemClock) {
    core.alerts.observe(() => {
      const { eventLoopDelayMs, closed } = hub.totals()
      return { eventLoopDelayMs, slowConsumers: closed['slow_consumer']! }
    })
  }
  cluster?.connect({
    restart: (epoch, cause) => hub.restart(epoch, cause),
    publish: createDelivery(hub)
  })
  const health = () => cluster?.health.own() ?? monitoring.health()
  const isShared = options.prometheus.scope === 'cluster'
  const exposition = new Exposition({
    clock,
    prefix: options.prometheus.prefix,
    ...(options.prometheus.registry !== undefined && { registry: options.prometheus.registry }),
    // The exposition counts these itself; this only keeps each scrape from logging them.
    onCollectorError: new CallbackErrors(log).report,
    sources: {
      missionTotals: () => isShared ? missions.queries.totals() : missions.totals.read(),
      missionCounts: () => ({
        ...missions.totals.readLabelled(), durationSumMs: missions.totals.durationSumMs, cut: missions.cuts.read()
      }),
      missionMeasures: () => ({
        ...missions.groups.measures.read(), oldestActiveMs: missions.groups.oldestActiveMs(clock.now())
      }),
      ...(options.prometheus.missionNames !== undefined && {
        missionsByName: () => missions.groups.measures.readNamed()
      }),
      ...(options.prometheus.tenants !== undefined && { tenantCounts: () => missions.groups.readLabelled() }),
      operations: () => monitoring.operations(),
      health,
      healthTransitions: () => monitoring.healthTransitions(),
      alerts: () => core.alerts.alertTotals(),
      hub: () => hub.totals(),
      ...(cluster !== undefined && { backplane: () => cluster.totals }),
      build: () => ({ version: VERSION, protocolVersion: PROTOCOL_VERSION, serviceVersion: options.server.version }),
      callbackErrors: () => callbackErrors.read()
    }
  })
  const publisher: PublishPort = cluster === undefined
    ? hub
    : { publish: (name, payload, tenant) => cluster.publish(name, payload, isReliablePayload(name, payload), tenant) }
  return { ...core, access, hub, exposition, publisher, health }
}

// What another process has published is validated again.
function createDelivery (hub: Hub) {
  const deliver = createPublisher({ publish: (...message) => hub.publish(...message) })
  return ({ channel, tenant, update, messageId: id, offset, tenantOffset }: PublicationEntry, at: number): void => {
    try {
      const place = (own: number) => ({ id, at, offset: own === 0 ? undefined : own })
      deliver(channel as ChannelName, JSON.parse(update), {
        ...tenant !== null && { tenant }, places: { operators: place(offset), tenant: place(tenantOffset) }
      })
    } catch {
      // Broken, or of a channel that this version does not know.
    }
  }
}

/** How many alerts a client receives that asks for no number. */
const HISTORY_SIZE = 50

interface CreateHubDeps extends Pick<ServicesDeps, 'options' | 'clock'>, Core {
  access: Access
  onCallbackError: (where: string, err: unknown) => void
}

function createHub (deps: CreateHubDeps): Hub {
  const { options, clock, access, missions, alerts, endings, cluster, onCallbackError } = deps
  const channels: ChannelsDeps = {
    clock,
    options: options.channels,
    feed: cluster?.feed ?? missions.queries.feed,
    totals: (tenant) => missions.queries.totals(tenant),
    toSnapshot: (mission) => toUpdate(mission),
    endings,
    ...createMonitoringSources(deps),
    createAlerts: (tenant) => createAlerts(tenant, deps),
    ...(access.isNarrowed && { sees: (viewer: Viewer, mission: MissionSubject) => access.sees(viewer, mission) })
  }
  return new Hub({
    clock,
    server: options.server,
    options: options.websocket,
    createChannels: (tenant) => createChannels(channels, tenant),
    access,
    commands: missions.commands,
    alertHistory (tenant, limit = HISTORY_SIZE) {
      const history = alerts.of(tenant).history(limit)
      return access.isNarrowed ? history.map(withoutMissions) : history
    },
    findMission: createMissionLookup({ registry: missions, endings }),
    listMissions: (query, caller) => missions.queries.list(query, caller),
    onCallbackError,
    ...(cluster !== undefined && { epoch: () => cluster.epoch })
  })
}

type MonitoringSources = Pick<
  ChannelsDeps, 'latency' | 'histogram' | 'operationLatencies' | 'onLatency' | 'health' | 'onHealth'
>

function createMonitoringSources ({ monitoring, cluster }: Pick<Core, 'monitoring' | 'cluster'>): MonitoringSources {
  if (cluster !== undefined) {
    const { reports, health } = cluster
    return {
      latency: () => reports.latency(),
      histogram: () => reports.histogram(),
      operationLatencies: () => reports.operationLatencies(),
      onLatency: (listener) => both(monitoring.on('operation_metric', listener), reports.onChanged(listener)),
      health: () => health.all(),
      onHealth: (listener) => health.onChanged(listener)
    }
  }
  return {
    latency: () => monitoring.latency(),
    histogram: () => monitoring.totalLatency.read(),
    operationLatencies: () => monitoring.operationLatencies(),
    onLatency: (listener) => monitoring.on('operation_metric', listener),
    health: () => monitoring.health(),
    onHealth: (listener) => onHealthChange(monitoring, listener)
  }
}

const HEALTH_CHANGES = ['health_degraded', 'health_critical', 'system_recovery'] as const

function onHealthChange (monitoring: MonitoringService, listener: (health: HealthSnapshot) => void): Unsubscribe {
  const unsubscribers = HEALTH_CHANGES.map((event) => monitoring.on(event, listener))
  return () => { for (const unsubscribe of unsubscribers) unsubscribe() }
}

function both (one: Unsubscribe, other: Unsubscribe): Unsubscribe {
  return () => {
    one()
    other()
  }
}

// Several processes share the log of the alerts.
function createAlerts (tenant: string | undefined, { alerts, access, cluster }: CreateHubDeps): AlertSource {
  const viewed = alerts.of(tenant)
  const show = access.isNarrowed ? withoutMissions : (anomaly: Anomaly) => anomaly
  const firing = () => viewed.firing().map(show)
  if (cluster === undefined) {
    return { firing, onChanged: (listener) => viewed.onChanged((anomaly) => listener(show(anomaly))) }
  }
  const shown = ({ payload, place }: AlertOrigin['recent'][number]) => ({ payload: show(payload), place })
  return {
    firing,
    onChanged: (listener) => cluster.alerts.published.on(tenant, (anomaly, place) => listener(show(anomaly), place)),
    origin () {
      const { head, recent } = cluster.alerts.published.origin(tenant)
      return { head, recent: recent.map(shown) }
    }
  }
}
