import type { AccessQuestion, MissionSubject, Principal } from '../../schemas/access.js'
import type { Clock } from '../base/clock.js'
import { IdentifyTimeout } from '../base/errors.js'
import { callSync } from '../base/promises.js'
import { EVERYBODY, readViewer, type Viewer } from './viewer.js'

type Answer = Principal | null | Promise<Principal | null>

/** The functions of the host. Its own types of requests and principals do not matter here. */
export interface AccessRules {
  identify: (request: never) => Answer
  refresh?: ((token: string, context: { principal: never, request: never }) => Answer) | undefined
  authorize?: ((principal: never, question: AccessQuestion) => boolean) | undefined
}

export interface AccessDeps {
  /** Without rules, everybody may do everything. */
  rules: AccessRules | undefined
  clock: Clock
  onCallbackError: (where: string, err: unknown) => void
}

/** How long `identify` and `refresh` may take. */
const IDENTIFY_TIMEOUT_MS = 5_000

/** Whether a question is about the process, so that only operators may do it. */
const isOfOperators = ({ action, channel }: AccessQuestion): boolean =>
  action === 'metrics' || action === 'health_details' || channel === 'metrics_tick'

/**
 * Identifies clients and decides what they may do. Fails closed: errors and time-outs of the host's functions, and any
 * result other than the expected one, deny access. Never throws or rejects.
 */
export class Access {
  readonly #deps: AccessDeps

  constructor (deps: AccessDeps) {
    this.#deps = deps
  }

  /** Whether the host has rules. */
  get isRestricted (): boolean { return this.#deps.rules !== undefined }

  /** Whether viewers of one tenant may see different missions. */
  get isNarrowed (): boolean { return this.#deps.rules?.authorize !== undefined }

  /** Whether a token can be renewed on an open connection. */
  get canRefresh (): boolean { return this.#deps.rules?.refresh !== undefined }

  /** Asks the host for the principal that sent a request; `null` if there is none. */
  async identify (request: unknown): Promise<Viewer | null> {
    const { rules } = this.#deps
    if (rules === undefined) return EVERYBODY
    return await this.#ask('identify', () => rules.identify(request as never))
  }

  /**
   * Asks the host for the principal of a new token; `null` if there is none, or if it is another one than before: a
   * connection never changes to the missions of another principal.
   */
  async refresh (token: string, viewer: Viewer, request: unknown): Promise<Viewer | null> {
    const { rules } = this.#deps
    if (rules?.refresh === undefined) return null
    const context = { principal: viewer.principal as never, request: request as never }
    const renewed = await this.#ask('refresh', () => rules.refresh!(token, context))
    return renewed?.id === viewer.id && renewed?.tenant === viewer.tenant ? renewed : null
  }

  /** Whether a viewer may do something. Missions of other tenants are denied even if the host would allow them. */
  allows (viewer: Viewer, question: AccessQuestion): boolean {
    return this.#decide(viewer, question, (err) => {
      this.#deps.onCallbackError('authorize', err)
      return false
    })
  }

  /**
   * Whether there may be a mission that a viewer may cancel. A function of the host that reads the mission throws
   * without one. It then decides about each mission, so this is no error and the answer is yes.
   */
  mayCancelAny (viewer: Viewer): boolean { return this.#decide(viewer, { action: 'cancel' }, () => true) }

  sees (viewer: Viewer, mission: MissionSubject): boolean {
    return this.allows(viewer, { action: 'see', mission })
  }

  #decide (viewer: Viewer, question: AccessQuestion, onThrown: (err: unknown) => boolean): boolean {
    const { rules } = this.#deps
    if (rules === undefined) return true
    const { principal, tenant } = viewer
    // `identify` has not run for this request.
    if (principal === undefined) return false
    const { mission } = question
    if (tenant !== undefined && (isOfOperators(question) || (mission && mission.tenant !== tenant))) return false
    if (rules.authorize === undefined) return true
    try {
      return callSync(() => rules.authorize!(principal as never, question)) === true
    } catch (err) {
      return onThrown(err)
    }
  }

  // The timer ends the wait for a function that never settles.
  async #ask (where: string, ask: () => Answer): Promise<Viewer | null> {
    const { clock, onCallbackError } = this.#deps
    return await new Promise((resolve) => {
      const fail = (err: unknown) => {
        timer.cancel()
        onCallbackError(where, err)
        resolve(null)
      }
      const timer = clock.after(IDENTIFY_TIMEOUT_MS, () => fail(new IdentifyTimeout(IDENTIFY_TIMEOUT_MS)))
      const answered = async () => readViewer(await ask(), clock.now())
      answered().then((viewer) => {
        timer.cancel()
        resolve(viewer)
      }, fail)
    })
  }
}
