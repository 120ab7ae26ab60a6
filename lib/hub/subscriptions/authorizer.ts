import type { SubscriptionAuthorize, SubscriptionRequest } from '../../../schemas/options.js'
import { callSync } from '../../base/promises.js'

/** Asks the host's `authorize` function. Any result other than `true`, a throw or a promise denies access. */
export class Authorizer {
  readonly #authorize: SubscriptionAuthorize | undefined
  readonly #onCallbackError: (where: string, err: unknown) => void

  constructor (authorize: SubscriptionAuthorize | undefined, onCallbackError: (where: string, err: unknown) => void) {
    this.#authorize = authorize
    this.#onCallbackError = onCallbackError
  }

  /** Never throws; errors of the host's function are reported. Without such a function everything is allowed. */
  allows (request: unknown, asked: SubscriptionRequest): boolean {
    const authorize = this.#authorize
    if (authorize === undefined) return true
    try {
      return callSync(() => authorize(request as never, asked)) === true
    } catch (err) {
      this.#onCallbackError('authorize', err)
      return false
    }
  }
}
