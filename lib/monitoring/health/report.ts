import {
  ComponentStatus, HealthReport, HealthStatus, MAX_REASON_LENGTH, type HealthComponent
} from '../../../schemas/health.js'
import { InvalidHealthReport } from '../../base/errors.js'
import { compile, describeFailure, type ErrorObject } from '../../base/validation.js'

/** Maximum number of components in one report; each may become an alert and a series of a metric. */
const MAX_COMPONENTS = 256

// One line, because the pattern `.*` of a record schema does not match line breaks.
const COMPONENT_NAME = /^.{1,64}$/u

/**
 * The result of a health check: a status, and a reason shown to viewers of details. Other properties are allowed and
 * never leave the process.
 */
export interface CheckReport { status: ComponentStatus, reason?: string }

const isHealthStatus = compile(HealthStatus)
const isComponentStatus = compile(ComponentStatus)
const isHealthReport = compile(HealthReport)

/** Whether this is a valid name of a component: 1 to 64 characters in one line. */
export function isComponentName (name: unknown): name is string {
  return typeof name === 'string' && COMPONENT_NAME.test(name)
}

/**
 * Reads the result of a check; `undefined` means healthy.
 *
 * @throws FST_MC_INVALID_HEALTH_REPORT
 */
export function readCheckReport (returned: unknown): CheckReport {
  if (returned === undefined) return { status: 'healthy' }
  const { status, reason } = isRecord(returned) ? returned : {}
  if (!isComponentStatus(status)) {
    throw new InvalidHealthReport('a check must return nothing, or { status } with healthy, degraded or unhealthy')
  }
  if (reason !== undefined && typeof reason !== 'string') throw new InvalidHealthReport('a reason must be a string')
  return { status, ...copyReason(reason) }
}

/**
 * A copy of a host's report with only the properties that clients may see.
 *
 * @throws FST_MC_INVALID_HEALTH_REPORT with the path of the invalid property, without any text of the host
 */
export function readHealthReport (given: unknown): HealthReport {
  if (!isRecord(given)) throw new InvalidHealthReport('it must be an object')
  const { status, components, reason } = given
  // Copied before it is validated, because a getter could return another value later.
  const own = { status, ...copyReason(reason) }
  const report: unknown = components === undefined ? own : { ...own, components: copyComponents(components) }
  if (isHealthReport(report)) return report
  throw new InvalidHealthReport(describeFailure(isHealthReport.errors!.map(withoutName)).join('; '))
}

/**
 * The report of a `reportHealth` call: `status` takes precedence, `health` may add components.
 *
 * @throws FST_MC_INVALID_HEALTH_REPORT
 */
export function readReportedHealth (status: unknown, health: unknown): HealthReport {
  if (!isHealthStatus(status)) throw new InvalidHealthReport('the status must be healthy, degraded or critical')
  if (health === undefined) return { status }
  if (!isRecord(health)) throw new InvalidHealthReport('it must be an object')
  const { components, reason } = health
  const report = readHealthReport({ status: health['status'] ?? status, components, reason })
  return { ...report, status }
}

/** The components of a report as clients see them; `checkedAt` is in ms since 1970. */
export function reportedComponents (report: HealthReport, checkedAt: number): [string, HealthComponent][] {
  return Object.entries(report.components ?? {}).map(([name, { status, responseTimeMs = null, reason }]) =>
    [name, { status, critical: false, responseTimeMs, error: null, checkedAt, ...reason !== undefined && { reason } }])
}

function copyComponents (components: unknown): unknown {
  if (!isRecord(components)) return components
  const entries = Object.entries(components)
  if (entries.length > MAX_COMPONENTS) {
    throw new InvalidHealthReport(`it must not have more than ${MAX_COMPONENTS} components`)
  }
  if (!entries.every(([name]) => isComponentName(name))) {
    throw new InvalidHealthReport('a component needs a name of 1 to 64 characters in one line')
  }
  return Object.fromEntries(entries.map(([name, component]) => [name, copyComponent(component)]))
}

function copyComponent (component: unknown): unknown {
  if (!isRecord(component)) return component
  const { status, responseTimeMs, reason } = component
  return { status, ...responseTimeMs !== undefined && { responseTimeMs }, ...copyReason(reason) }
}

// A text that is too long is cut: a report about a failure must not fail itself.
function copyReason<T> (reason: T): { reason?: Exclude<T, undefined> } {
  if (reason === undefined) return {}
  return { reason: (typeof reason === 'string' ? reason.slice(0, MAX_REASON_LENGTH) : reason) as Exclude<T, undefined> }
}

// Names of components are text of the host, which an error must not repeat.
function withoutName (error: ErrorObject): ErrorObject {
  return { ...error, instancePath: error.instancePath.replace(/^\/components\/[^/]+/, '/components/name') }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
