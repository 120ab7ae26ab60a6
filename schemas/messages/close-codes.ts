/**
 * Every close code the server uses. The name is the reason text of the close frame, except for broken frames, which the
 * WebSocket library answers by itself and without a text. `reconnect` is what a client should do next: reconnect now,
 * reconnect later, or never, because a new connection would end in the same way.
 */
export const CLOSE_CODES = {
  invalid_frame: { code: 1002, reconnect: 'never', meaning: 'A frame violates RFC 6455.' },
  invalid_utf8: { code: 1007, reconnect: 'never', meaning: 'A text message is not valid UTF-8 (RFC 6455 §8.1).' },
  rate_limited: {
    code: 1008,
    reconnect: 'later',
    meaning: 'The client sent too many messages. A `protocol_error` with the code `rate_limited` was sent before.'
  },
  too_many_fragments: {
    code: 1008,
    reconnect: 'never',
    meaning: 'The client sent a message in more than 256 fragments.'
  },
  message_too_large: {
    code: 1009,
    reconnect: 'never',
    meaning: 'The client sent a message larger than `maxPayloadBytes`.'
  },
  server_restart: {
    code: 1012,
    reconnect: 'later',
    meaning: 'The service shuts down or restarts. A `server_draining` message said when to reconnect.'
  },
  slow_consumer: { code: 1013, reconnect: 'now', meaning: 'The client did not read the messages sent to it.' },
  token_expired: {
    code: 4401,
    reconnect: 'now',
    meaning: 'The token of the client has expired. Connect again with a new one.'
  },
  unauthorised: {
    code: 4401,
    reconnect: 'never',
    meaning: 'The service refused the token of an `auth_refresh`, or has revoked the access of the client.'
  }
} as const

export type CloseReason = keyof typeof CLOSE_CODES
