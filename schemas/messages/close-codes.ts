/**
 * Every close code the server uses. The name is the reason text of the close frame, but for broken frames, to which the WebSocket
 * library answers by itself and without a text. `reconnect` is what a client does next:
 * come back now, come back later, or not before something was changed.
 */
export const CLOSE_CODES = {
  invalid_frame: { code: 1002, reconnect: 'never', meaning: 'A frame breaks RFC 6455.' },
  invalid_utf8: { code: 1007, reconnect: 'never', meaning: 'A text message is not UTF-8 (RFC 6455 §8.1).' },
  rate_limited: { code: 1008, reconnect: 'later', meaning: 'Too many messages; `protocol_error` `rate_limited` came before.' },
  too_many_fragments: { code: 1008, reconnect: 'never', meaning: 'A message came in more than 256 fragments.' },
  message_too_large: { code: 1009, reconnect: 'never', meaning: 'A message is larger than `maxPayloadBytes`.' },
  server_restart: { code: 1012, reconnect: 'later', meaning: 'The service shuts down or restarts; `server_draining` said when to come back.' },
  slow_consumer: { code: 1013, reconnect: 'now', meaning: 'The client did not read what was sent to it.' }
} as const

export type CloseReason = keyof typeof CLOSE_CODES
