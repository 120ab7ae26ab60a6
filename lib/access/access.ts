import type { AccessQuestion, MissionSubject, Principal } from '../../schemas/access.js'
import type { Clock } from '../base/clock.js'
import { IdentifyTimeout } from '../base/errors.js'
import { callSync } from '../base/promises.js'
import { EVERYBODY, readViewer, type Viewer } from './viewer.js'

type Answer = Principal | null | Promise<Principal | null>

/** The functions of the host, whose own types of requests and principals do not matter here. */
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

/** How long the host may take to say who is asking. */
const IDENTIFY_TIMEOUT_MS = 5_000

/** What only those may ask for who see all tenants: it is about the process. */
const isOfOperators = ({ action, channel }: AccessQuestion): boolean =>
  action === 'metrics' || action === 'health_details' || channel === 'metrics_tick'

/**
 * The one place that decides who is asking and what they may do. Fails closed: an error of the host's functions, a
 * time-out and any answer but the right one mean no. Never throws or rejects.
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

  /** Asks the host who sent a request; `null` for nobody. */
  async identify (request: unknown): Promise<Viewer | null> {
    const { rules } = this.#deps
    if (rules === undefined) return EVERYBODY
    return await this.#ask('identify', () => rules.identify(request as never))
  }

  /**
   * Asks the host who sent a new token; `null` for nobody, and for anybody else than before, whose missions a
   * connection must not change to.
   */
  async refresh (token: string, viewer: Viewer, request: unknown): Promise<Viewer | null> {
    const { rules } = this.#deps
    if (rules?.refresh === undefined) return null
    const context = { principal: viewer.principal as never, request: request as never }
    const renewed = await this.#ask('refresh', () => rules.refresh!(token, context))
    return renewed?.id === viewer.id && renewed?.tenant === viewer.tenant ? renewed : null
  }

  /** Whether a viewer may do something. A mission of another tenant is never theirs, whatever the host says. */
  allows (viewer: Viewer, question: AccessQuestion): boolean {
    const { rules, onCallbackError } = this.#deps
    if (rules === undefined) return true
    const { principal, tenant } = viewer
    // A request that nobody was asked about.
    if (principal === undefined) return false
    const { mission } = question
    if (tenant !== undefined && (isOfOperators(question) || (mission && mission.tenant !== tenant))) return false
    if (rules.authorize === undefined) return true
    try {
      return callSync(() => rules.authorize!(principal as never, question)) === true
    } catch (err) {
      onCallbackError('authorize', err)
      return false
    }
  }

  sees (viewer: Viewer, mission: MissionSubject): boolean {
    return this.allows(viewer, { action: 'see', mission })
  }

  // The timer ends the wait for an answer that never comes.
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
