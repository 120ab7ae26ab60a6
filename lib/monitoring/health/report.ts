import { ComponentStatus, HealthReport, HealthStatus, type HealthComponent } from '../../../schemas/health.js'
import { InvalidHealthReport } from '../../base/errors.js'
import { compile, describeFailure, type ErrorObject } from '../../base/validation.js'

/** Components one report may have: each may become an alert and a series of metrics. */
const MAX_COMPONENTS = 256

// One line, as the record in the schema checks only what its pattern `.*` matches.
const COMPONENT_NAME = /^.{1,64}$/u

/** What a health check may return instead of nothing. Other properties are allowed and never leave the process. */
export interface CheckReport { status: ComponentStatus }

const isHealthStatus = compile(HealthStatus)
const isComponentStatus = compile(ComponentStatus)
const isHealthReport = compile(HealthReport)

/** Whether this can name a component: 1 to 64 characters in one line. */
export function isComponentName (name: unknown): name is string {
  return typeof name === 'string' && COMPONENT_NAME.test(name)
}

/**
 * The status that a check returned; nothing means healthy.
 *
 * @throws FST_MC_INVALID_HEALTH_REPORT
 */
export function readCheckReport (given: unknown): ComponentStatus {
  if (given === undefined) return 'healthy'
  const status = isRecord(given) ? given['status'] : undefined
  if (isComponentStatus(status)) return status
  throw new InvalidHealthReport('a check must return nothing, or { status } with healthy, degraded or unhealthy')
}

/**
 * A copy of a host's report that holds nothing but what viewers may see.
 *
 * @throws FST_MC_INVALID_HEALTH_REPORT with the place of the fault, without the host's words
 */
export function readHealthReport (given: unknown): HealthReport {
  if (!isRecord(given)) throw new InvalidHealthReport('it must be an object')
  const { status, components } = given
  // Copied before it is checked, so that a getter cannot answer the check and the reader differently.
  const report: unknown = components === undefined ? { status } : { status, components: copyComponents(components) }
  if (isHealthReport(report)) return report
  throw new InvalidHealthReport(describeFailure(isHealthReport.errors!.map(withoutName)).join('; '))
}

/**
 * What a host says with `reportHealth`: `status` counts, `health` may add components.
 *
 * @throws FST_MC_INVALID_HEALTH_REPORT
 */
export function readReportedHealth (status: unknown, health: unknown): HealthReport {
  if (!isHealthStatus(status)) throw new InvalidHealthReport('the status must be healthy, degraded or critical')
  if (health === undefined) return { status }
  if (!isRecord(health)) throw new InvalidHealthReport('it must be an object')
  const report = readHealthReport({ status: health['status'] ?? status, components: health['components'] })
  return { ...report, status }
}

/** The components of a report as viewers see them; `checkedAt` in ms since 1970. */
export function reportedComponents (report: HealthReport, checkedAt: number): [string, HealthComponent][] {
  return Object.entries(report.components ?? {}).map(([name, { status, responseTimeMs }]) =>
    [name, { status, critical: false, responseTimeMs: responseTimeMs ?? null, error: null, checkedAt }])
}

function copyComponents (components: unknown): unknown {
  if (!isRecord(components)) return components
  const entries = Object.entries(components)
  if (entries.length > MAX_COMPONENTS) throw new InvalidHealthReport(`it must not have more than ${MAX_COMPONENTS} components`)
  if (!entries.every(([name]) => isComponentName(name))) throw new InvalidHealthReport('a component needs a name of 1 to 64 characters in one line')
  return Object.fromEntries(entries.map(([name, component]) => [name, copyComponent(component)]))
}

function copyComponent (component: unknown): unknown {
  if (!isRecord(component)) return component
  const { status, responseTimeMs } = component
  return responseTimeMs === undefined ? { status } : { status, responseTimeMs }
}

// The names of components are the host's words, which an error does not repeat.
function withoutName (error: ErrorObject): ErrorObject {
  return { ...error, instancePath: error.instancePath.replace(/^\/components\/[^/]+/, '/components/name') }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
