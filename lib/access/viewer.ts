import { Principal } from '../../schemas/access.js'
import { InvalidPrincipal } from '../base/errors.js'
import { compile, describeFailure } from '../base/validation.js'

/**
 * A principal as the package uses it; each property of the host's object is read once. A new token replaces the
 * principal of an open connection, but changes neither id nor tenant.
 */
export interface Viewer {
  /** The host's own object; `undefined` without access rules. */
  principal: Principal | undefined
  readonly id: string | undefined
  /** `undefined` for an operator, which sees all tenants. */
  readonly tenant: string | undefined
  /** In ms since 1970; `Infinity` if it never expires. */
  expiresAt: number
}

/** The viewer of every request if the host has no access rules. */
export const EVERYBODY: Viewer = Object.freeze({
  principal: undefined, id: undefined, tenant: undefined, expiresAt: Infinity
})

/** In ms, any time from here on is after 1973. A smaller value was given in seconds. */
const EARLIEST_MS = 100_000_000_000

const validate = compile(Principal)

/**
 * Reads the answer of the host. Returns `null` for `null`, and for a principal that has expired.
 *
 * @throws FST_MC_INVALID_PRINCIPAL for anything else
 */
export function readViewer (answer: unknown, now: number): Viewer | null {
  if (answer === null) return null
  if (typeof answer !== 'object') throw new InvalidPrincipal('it must be an object or null')
  const { id, tenant, roles, expiresAt = Infinity } = answer as Principal
  const given = { id, expiresAt, ...(tenant !== undefined && { tenant }), ...(roles !== undefined && { roles }) }
  // Ajv refuses Infinity as a number.
  if (!validate({ ...given, ...(expiresAt === Infinity && { expiresAt: 0 }) })) {
    throw new InvalidPrincipal(describeFailure(validate.errors).join('; '))
  }
  if (expiresAt < EARLIEST_MS) throw new InvalidPrincipal('expiresAt must be in milliseconds since 1970')
  return expiresAt <= now ? null : { principal: answer as Principal, id, tenant, expiresAt }
}
