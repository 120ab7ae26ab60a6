/** Codes of the errors of the client, without `MC_CLIENT_` in front; docs/client.md says when each comes and what to do. */
export type ClientErrorName =
  | 'INVALID_OPTION' | 'INVALID_TOKEN' | 'TOKEN_FAILED' | 'CONNECT_FAILED' | 'BAD_MESSAGE' | 'LISTENER_FAILED' | 'STORAGE_FAILED'
  | 'REFUSED' | 'OUTCOME_UNKNOWN' | 'NOT_FOUND' | 'LOST' | 'TIMEOUT' | 'ABORTED' | 'CLOSED'

export type ClientErrorCode = `MC_CLIENT_${ClientErrorName}`

/** What went wrong, for programs: `code`, and for a refusal of the service `reason`, which is its error code. `cause` is what it comes from. */
// The message is the code and what it is about: longer texts are in the documents, so that no page has to load them.
export class ClientError extends Error {
  readonly code: ClientErrorCode
  readonly reason: string | undefined

  constructor (name: ClientErrorName, detail: string, cause?: unknown, reason?: string) {
    super(`${name}: ${detail}`, { cause })
    this.name = 'ClientError'
    this.code = `MC_CLIENT_${name}`
    this.reason = reason
  }
}
