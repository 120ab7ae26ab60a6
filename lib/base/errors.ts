import { createError } from '@fastify/error'

/** A registration option is unknown or outside its bounds. */
export const InvalidOption = createError<[string]>(
  'FST_MC_INVALID_OPTION', 'fastify-mission-control: %s', 500, TypeError)

/** An environment variable of the plugin is not a positive whole number of milliseconds. */
export const InvalidEnvironment = createError<[string, string, number]>(
  'FST_MC_INVALID_ENVIRONMENT',
  'fastify-mission-control: the environment variable %s is "%s", but must be a whole number of milliseconds ' +
  'from 1 to %d; correct or unset it', 500, TypeError)

/** The plugin is already registered on this server, in this scope or another one. */
export const AlreadyRegistered = createError(
  'FST_MC_ALREADY_REGISTERED',
  'fastify-mission-control is already registered on this server; register it once, in the outermost scope that needs ' +
  'it, and use app.missions, app.monitoring and app.missionControl everywhere else')

/** The host's prom-client registry already contains a metric with the name of a metric of the plugin. */
export const MetricNameTaken = createError<[string]>(
  'FST_MC_METRIC_NAME_TAKEN',
  'fastify-mission-control: the given prometheus.registry already has a metric "%s"; ' +
  'give each app a registry of its own')

/** A status is not one of the eight mission statuses. */
export const UnknownStatus = createError<[string]>(
  'FST_MC_UNKNOWN_STATUS', 'A mission status must be one of %s', 500, TypeError)

/** A mission, a report or a query of the host has the wrong shape. */
export const InvalidMission = createError<[string]>('FST_MC_INVALID_MISSION', 'Invalid mission: %s', 500, TypeError)

/** A mission with this id has already ended. */
export const MissionEnded = createError(
  'FST_MC_MISSION_ENDED',
  'A mission with this id has ended; start a new one with another id, or a new attempt with "attempt"')

/** The id belongs to a mission of another tenant. */
export const TenantConflict = createError(
  'FST_MC_TENANT_CONFLICT',
  'A mission with this id belongs to another tenant; use ids that are unique over all tenants', 409)

/** A handler passed to `missions.handle` has the wrong shape. */
export const InvalidHandler = createError<[string]>(
  'FST_MC_INVALID_HANDLER', 'Invalid mission handler: %s', 500, TypeError)

/** An operation has the wrong shape. */
export const InvalidOperation = createError<[string]>(
  'FST_MC_INVALID_OPERATION', 'Invalid operation: %s', 500, TypeError)

/** A health check has the wrong shape, or its name is already used. */
export const InvalidHealthCheck = createError<[string]>(
  'FST_MC_INVALID_HEALTH_CHECK', 'Invalid health check: %s', 500, TypeError)

/** A health status or health report has the wrong shape. */
export const InvalidHealthReport = createError<[string]>(
  'FST_MC_INVALID_HEALTH_REPORT', 'Invalid health report: %s', 500, TypeError)

/** A rule in `alerts.add` has returned something that is not a reading; its alerts stay as they are. */
export const InvalidAlertReading = createError<[string]>(
  'FST_MC_INVALID_ALERT_READING', 'Invalid result of an alert rule: %s', 500, TypeError)

/** A rule in `alerts.add` took longer than its `timeoutMs`; its alerts stay as they are. */
export const AlertRuleTimeout = createError<[number]>(
  'FST_MC_ALERT_RULE_TIMEOUT', 'The alert rule took longer than %d ms')

/** An alert cannot be silenced in this way. */
export const InvalidSilence = createError<[string]>('FST_MC_INVALID_SILENCE', 'Invalid silence: %s', 500, TypeError)

/** A health check took longer than its `timeoutMs`; this is the abort reason of its signal. */
export const HealthCheckTimeout = createError<[number]>(
  'FST_MC_HEALTH_CHECK_TIMEOUT', 'The health check took longer than %d ms')

/** The service is closing: no mission can start, and this is the abort reason of running health checks. */
export const Closing = createError('FST_MC_CLOSING', 'The service is closing')

/** `missionControl.publish` was called with an unknown channel, or a payload that does not match its schema. */
export const InvalidPayload = createError<[string]>('FST_MC_INVALID_PAYLOAD', 'Invalid payload: %s', 500, TypeError)

/** A request names a host that is not allowed: a page reached the service through a name of its own. */
export const HostRefused = createError(
  'FST_MC_HOST_REFUSED', 'Requests for this host name are not allowed; see websocket.allowedHosts', 403)

/** An upgrade was requested by a page whose origin is not allowed. */
export const OriginRefused = createError('FST_MC_ORIGIN_REFUSED', 'Connections from this origin are not allowed', 403)

/** An upgrade exceeds `maxConnections` or `maxConnectionsPerSecond`, or the service is overloaded or closing. */
export const TooManyConnections = createError('FST_MC_TOO_MANY_CONNECTIONS', 'Too many connections are open', 503)

/** The hooks of the host did not decide about an upgrade in time. */
export const UpgradeTimeout = createError('FST_MC_UPGRADE_TIMEOUT', 'The upgrade was not admitted in time', 401)

/** A plain HTTP request, or an upgrade over HTTP/1.0, was sent to the WebSocket route. */
export const UpgradeRequired = createError('FST_MC_UPGRADE_REQUIRED', 'This route accepts WebSocket upgrades only', 426)

/** An upgrade was sent to another route of the plugin than the WebSocket route. */
export const UpgradeRefused = createError(
  'FST_MC_UPGRADE_REFUSED', 'This route does not accept WebSocket upgrades', 400)

/** A metric did not return in time and was left out of the scrape. */
export const CollectorTimeout = createError<[number]>('FST_MC_COLLECTOR_TIMEOUT', 'The metric took longer than %d ms')

/** A metric returned something that cannot be rendered and was left out of the scrape. */
export const InvalidMetric = createError<[string]>('FST_MC_INVALID_METRIC', 'The metric returned %s')

/** A metric uses the name of another metric of the same exposition and was left out of the scrape. */
export const MetricNameClash = createError<[string]>(
  'FST_MC_METRIC_NAME_CLASH', 'Another metric uses the name "%s" in the same exposition')

/** A health check was removed while it ran; this is the abort reason of its signal. */
export const HealthCheckRemoved = createError('FST_MC_HEALTH_CHECK_REMOVED', 'The health check was removed')

/** `missions.maxActive` missions are active. */
export const TooManyMissions = createError<[number]>(
  'FST_MC_TOO_MANY_MISSIONS', 'There are %d active missions, which is the limit of missions.maxActive', 503)

/** A mission that is still active cannot be retried. */
export const MissionLive = createError(
  'FST_MC_MISSION_LIVE', 'The mission is active; only a mission that has ended can be retried', 409)

/** The mission does not exist, or is no longer kept. */
export const MissionNotFound = createError(
  'FST_MC_MISSION_NOT_FOUND', 'The mission does not exist, or is no longer kept', 404)

/** The mission did not end within the `timeoutMs` of `waitFor`. */
export const WaitTimeout = createError<[number]>('FST_MC_WAIT_TIMEOUT', 'The mission did not end within %d ms', 504)

/** The host has no handler for the command. */
export const Unsupported = createError('FST_MC_UNSUPPORTED', 'This service does not support this command', 501)

/** The process that runs a mission does not answer. */
export const OwnerUnavailable = createError(
  'FST_MC_OWNER_UNAVAILABLE', 'The process that runs the mission does not answer; try again', 503)

/** The host's handler of a command failed or timed out. */
export const CommandFailed = createError('FST_MC_COMMAND_FAILED', 'The command failed', 500)

/** A time of a mission is not a time, is in the future, or contradicts its other times. */
export const InvalidTime = createError<[string]>('FST_MC_INVALID_TIME', 'Invalid time: %s', 500, TypeError)

/** A mission cannot belong to this parent, because it belongs to another one or is an ancestor of it. */
export const InvalidParent = createError<[string]>('FST_MC_INVALID_PARENT', 'Invalid parent: %s', 409)

/** The host does not know the sender of a request. */
export const Unauthorized = createError('FST_MC_UNAUTHORIZED', 'Authentication is required', 401)

/** The principal that sent a request may not see this. */
export const Forbidden = createError('FST_MC_FORBIDDEN', 'Access is denied', 403)

/** `access.identify` or `access.refresh` returned something that is not a principal. */
export const InvalidPrincipal = createError<[string]>(
  'FST_MC_INVALID_PRINCIPAL', 'Invalid principal: %s', 500, TypeError)

/** `access.identify` or `access.refresh` did not return in time. */
export const IdentifyTimeout = createError<[number]>('FST_MC_IDENTIFY_TIMEOUT', 'No principal within %d ms')

/** Processes of another version use the same log. */
export const BackplaneIncompatible = createError<[string]>(
  'FST_MC_BACKPLANE_INCOMPATIBLE',
  'The backplane has data in format %s, which this version cannot read; use another namespace, or the same version')

/** Redis did not answer in time, or closed the connection. */
export const BackplaneAway = createError<[reason: string, options?: { cause: unknown }]>(
  'FST_MC_BACKPLANE_AWAY', 'Redis does not answer: %s', 503)

/** Entries of the backplane were dropped because they are broken. */
export const BackplaneEntry = createError<[number]>(
  'FST_MC_BACKPLANE_ENTRY', 'Broken entries in the backplane were dropped: %d since the start')
