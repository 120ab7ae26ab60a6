import type { SubscriptionAuthorize, SubscriptionRequest } from '../../../schemas/options.js'
import { isPromiseLike } from '../../base/promises.js'

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
    if (this.#authorize === undefined) return true
    try {
      const answer: unknown = this.#authorize(request as never, asked)
      if (isPromiseLike(answer)) this.#reportPromise(answer)
      return answer === true
    } catch (err) {
      this.#onCallbackError('authorize', err)
      return false
    }
  }

  // Without a handler, its rejection would end the process.
  #reportPromise (promise: PromiseLike<unknown>): void {
    const error = new TypeError('websocket.authorize must return synchronously, but returned a promise')
    this.#onCallbackError('authorize', error)
    promise.then(undefined, (err: unknown) => this.#onCallbackError('authorize', err))
  }
}
