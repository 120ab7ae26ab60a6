import type { SubscriptionAuthorize, SubscriptionRequest } from '../../../schemas/options.js'

/** What the host allows a client; whatever its function does but return `true` is a no. */
export class Authorizer {
  readonly #authorize: SubscriptionAuthorize | undefined
  readonly #onCallbackError: (where: string, err: unknown) => void

  constructor (authorize: SubscriptionAuthorize | undefined, onCallbackError: (where: string, err: unknown) => void) {
    this.#authorize = authorize
    this.#onCallbackError = onCallbackError
  }

  allows (request: unknown, asked: SubscriptionRequest): boolean {
    if (this.#authorize === undefined) return true
    try {
      const answer: unknown = this.#authorize(request as never, asked)
      if (answer instanceof Promise) this.#refusePromise(answer)
      return answer === true
    } catch (err) {
      this.#onCallbackError('authorize', err)
      return false
    }
  }

  // Its rejection would end the process.
  #refusePromise (answer: Promise<unknown>): void {
    this.#onCallbackError('authorize', new TypeError('websocket.authorize must answer at once, but gave a promise'))
    answer.catch((err: unknown) => this.#onCallbackError('authorize', err))
  }
}
