import createError from '@fastify/error'

/** A registration option is unknown or out of its bounds. */
export const InvalidOption = createError<[string]>('FST_MC_INVALID_OPTION', 'fastify-mission-control: %s', 500, TypeError)

/** An environment variable of the plugin holds no positive whole number of milliseconds. */
export const InvalidEnvironment = createError<[string, string, number]>('FST_MC_INVALID_ENVIRONMENT',
  'fastify-mission-control: the environment variable %s is "%s", but must be a whole number of milliseconds from 1 to %d; correct or unset it', 500, TypeError)

/** The plugin was registered on this instance before. */
export const AlreadyRegistered = createError('FST_MC_ALREADY_REGISTERED',
  'fastify-mission-control is already registered on this instance; register it once, and use app.missions, app.monitoring and app.missionControl everywhere else')

/** A metric of the plugin has the name of one that the host's prom-client registry holds. */
export const MetricNameTaken = createError<[string]>('FST_MC_METRIC_NAME_TAKEN',
  'fastify-mission-control: the given prometheus.registry already has a metric "%s"; give each app a registry of its own')

/** A status is not one of the eight. */
export const UnknownStatus = createError<[string]>('FST_MC_UNKNOWN_STATUS',
  'A mission status must be one of %s', 500, TypeError)

/** What the host said of a mission has the wrong shape. */
export const InvalidMission = createError<[string]>('FST_MC_INVALID_MISSION', 'Invalid mission: %s', 500, TypeError)

/** A mission with this id has already ended; a new one needs another id. */
export const MissionEnded = createError('FST_MC_MISSION_ENDED',
  'A mission with this id has ended; start a new one with another id')

/** A handler for client commands is not what `missions.handle` takes. */
export const InvalidHandler = createError<[string]>('FST_MC_INVALID_HANDLER', 'Invalid mission handler: %s', 500, TypeError)

/** An operation that the host tracked has the wrong shape. */
export const InvalidOperation = createError<[string]>('FST_MC_INVALID_OPERATION', 'Invalid operation: %s', 500, TypeError)

/** A health check has the wrong shape, or its name is taken. */
export const InvalidHealthCheck = createError<[string]>('FST_MC_INVALID_HEALTH_CHECK', 'Invalid health check: %s', 500, TypeError)

/** A health status or report of the host has the wrong shape. */
export const InvalidHealthReport = createError<[string]>('FST_MC_INVALID_HEALTH_REPORT', 'Invalid health report: %s', 500, TypeError)

/** A health check took longer than its `timeoutMs`; its signal is aborted with this. */
export const HealthCheckTimeout = createError<[number]>('FST_MC_HEALTH_CHECK_TIMEOUT', 'The health check took longer than %d ms')

/** The plugin is closing; a health check that still runs is aborted with this. */
export const Closing = createError('FST_MC_CLOSING', 'The service is closing')

/** `missionControl.publish` was given an unknown channel or a payload that does not fit it. */
export const InvalidPayload = createError<[string]>('FST_MC_INVALID_PAYLOAD', 'Invalid payload: %s', 500, TypeError)

/** An upgrade came from a page of a foreign origin. */
export const OriginRefused = createError('FST_MC_ORIGIN_REFUSED', 'Connections from this origin are not allowed', 403)

/** `maxConnections` connections are open. */
export const TooManyConnections = createError('FST_MC_TOO_MANY_CONNECTIONS', 'Too many connections are open', 503)

/** A plain request came to the WebSocket route. */
export const UpgradeRequired = createError('FST_MC_UPGRADE_REQUIRED', 'This route speaks WebSocket only', 426)

/** An upgrade came to a route that is not the WebSocket route. */
export const UpgradeRefused = createError('FST_MC_UPGRADE_REFUSED', 'This route does not speak WebSocket', 400)

/** A metric did not answer a scrape in time, and was left out of it. */
export const CollectorTimeout = createError<[number]>('FST_MC_COLLECTOR_TIMEOUT', 'The metric took longer than %d ms')

/** A metric answered a scrape with something that cannot be rendered, and was left out of it. */
export const InvalidMetric = createError<[string]>('FST_MC_INVALID_METRIC', 'The metric gave %s')

/** A metric would have lines under a name that another metric of the same page uses, and was left out of it. */
export const MetricNameClash = createError<[string]>('FST_MC_METRIC_NAME_CLASH', 'Another metric uses the name "%s" on the same page')

/** A health check was removed while it ran; its signal is aborted with this. */
export const HealthCheckRemoved = createError('FST_MC_HEALTH_CHECK_REMOVED', 'The health check was removed')

/** `maxActive` missions are active. */
export const TooManyMissions = createError<[number]>('FST_MC_TOO_MANY_MISSIONS', 'There are %d active missions, which is as many as missions.maxActive allows', 503)

/** A mission with this id is live, but no function of this process runs it, so that its outcome cannot be shared. */
export const MissionLive = createError('FST_MC_MISSION_LIVE', 'A mission with this id is live and was not started by run or spawn; wait for it with missions.waitFor')

/** There is no such mission, or it is no longer kept. */
export const MissionNotFound = createError('FST_MC_MISSION_NOT_FOUND', 'There is no such mission, or it is no longer kept', 404)

/** `waitFor` waited as long as it was told to. */
export const WaitTimeout = createError<[number]>('FST_MC_WAIT_TIMEOUT', 'The mission did not end within %d ms', 504)

/** The host gave no handler for what was asked. */
export const Unsupported = createError('FST_MC_UNSUPPORTED', 'This service takes no such command', 501)

/** A handler of the host failed at a command. */
export const CommandFailed = createError('FST_MC_COMMAND_FAILED', 'The command could not be carried out', 500)
