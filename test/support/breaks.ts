import type { Break, ClientData, Loose, ProxiedConnection } from './broken-server.js'

const ENDINGS = ['completed', 'cancelled', 'error']

/** Changes messages of the server: those of one type, or all of them. */
const change = (type: string | undefined, act: (message: Loose, connection: ProxiedConnection) => void): Break => ({
  fromServer (message, connection) {
    if (type === undefined || message['type'] === type) act(message, connection)
    return [message]
  }
})

/** Changes messages of one type that a client sends. */
const changeRequest = (type: string, act: (message: Loose, connection: ProxiedConnection, data: ClientData) => Loose | string | false | undefined): Break => ({
  fromClient (data, connection) {
    return data.message?.['type'] === type ? act(data.message, connection, data) : undefined
  }
})

const isUpdate = ({ type, payload }: Loose): boolean => type === 'mission_update' && payload.snapshot !== true
const isEnding = (message: Loose): boolean => isUpdate(message) && ENDINGS.includes(message['payload'].status)
const isAck = ({ type, payload }: Loose): boolean => type === 'subscription_ack' && payload.status === 'subscribed'

/** Delays messages until after the next message that matches `until`. */
const delay = (isDelayed: (message: Loose) => boolean, until: (message: Loose) => boolean): Break => ({
  fromServer (message, { own }) {
    const waiting = (own['waiting'] ??= []) as Loose[]
    if (isDelayed(message)) {
      waiting.push(message)
      return []
    }
    return until(message) ? [message, ...waiting.splice(0)] : [message]
  }
})

/** Accepts every cursor. */
const TRUSTS_CURSORS: Break = {
  fromServer (message, { shared }) {
    if (isAck(message) && message['payload'].asOf !== undefined) {
      const { epoch, offset, id } = message['payload'].asOf
      shared[message['payload'].channel] = { epoch, offset, id }
    }
    return [message]
  },
  ...changeRequest('subscribe', (message, { shared }) => message['since'] && { ...message, since: { mission_update: shared['mission_update'] } })
}

/** Broken servers: the defect in words, the check that must find it, and its implementation. */
export const BREAKS: ReadonlyArray<[string, string, Break]> = [
  ['omits replyTo', 'reply-to', change('whoami', (message) => { delete message['replyTo'] })],
  ['lists a channel that it refuses', 'whoami-channels', { fromServer: (message, { make }) => isAck(message) && message['payload'].channel === 'metrics_tick' ? [make('subscription_error', { error: { code: 'forbidden', message: 'no', position: 0 }, replyTo: message['replyTo'] })] : [message] }],
  ['lists no channels as a list', 'whoami-channels', change('whoami', ({ payload }) => { payload.channels = 'all' })],
  ['accepts any token', 'auth-refresh', { fromServer: (message, { make }) => String(message['replyTo']).startsWith('refresh') ? [make('auth_refreshed', { payload: {}, replyTo: message['replyTo'] })] : [message] }],
  ['lists auth_refresh and keeps the connection open', 'auth-refresh', change('whoami', ({ payload }) => { payload.capabilities.push('auth_refresh') })],
  ['invents a replyTo', 'no-reply-to', change('whoami', (message) => { message['replyTo'] ??= 'none' })],
  ['answers a ping with a payload', 'ping-pong', change('pong', (message) => { message['payload'] = {} })],
  ['answers a ping twice', 'ping-pong', { fromServer: (message) => message['replyTo'] === 'p' ? [message, message] : [message] }],
  ['answers out of order', 'reply-order', delay(({ type }) => type === 'whoami', ({ type }) => type === 'subscription_ack')],
  ['has a different name in whoami', 'whoami', change('whoami', ({ payload }) => { payload.server = 'other' })],
  ['has an object as the name in whoami', 'whoami', change('whoami', (message) => { message['payload'].server = message['server'] })],
  ['has a different version in whoami', 'whoami', change('whoami', ({ payload }) => { payload.version = 'other' })],
  ['sends whoami without a payload', 'whoami', change('whoami', (message) => { delete message['payload'] })],
  ['lists no channels', 'whoami', change('whoami', ({ payload }) => { payload.channels = [] })],
  ['lists a channel that does not exist', 'whoami', change('whoami', ({ payload }) => { payload.channels.push('none') })],
  ['lists no commands', 'whoami', change('whoami', ({ payload }) => { delete payload.capabilities })],
  ['acknowledges the cancel of an unknown mission', 'cancel-unknown', changeRequest('mission_cancel', ({ id, missionId }, connection) => {
    connection.send(connection.make('mission_ack', { replyTo: id, payload: { missionId, status: 'accepted', action: 'cancel' } }))
    return false
  })],
  ['has the wrong code for an unknown mission', 'get-unknown', change('protocol_error', ({ error }) => { if (error.code === 'unknown_mission') error.code = 'forbidden' })],
  ['lists mission_start and does not support it', 'start-unsupported', changeRequest('mission_start', ({ id }, connection) => {
    connection.send(connection.make('protocol_error', { replyTo: id, error: { code: 'unsupported', message: 'no' } }))
    return false
  })],
  ['supports mission_start and does not list it', 'start-unsupported', change('whoami', ({ payload }) => { payload.capabilities = [] })],
  ['refuses to unsubscribe without a subscription', 'unsubscribe-not-subscribed', {
    fromServer: (message, connection) => message['payload']?.status === 'unsubscribed' ? [connection.make('protocol_error', { error: { code: 'invalid_message', message: 'no' } })] : [message]
  }],

  ['closes the connection on invalid JSON', 'invalid-json', { fromClient: ({ text, message }, connection) => { if (message === undefined && text !== '') connection.close(1003) } }],
  ['does not answer an empty message', 'empty-message', { fromClient: ({ text }) => text === '' ? false : undefined }],
  ['does not answer binary garbage', 'binary-garbage', { fromClient: ({ isBinary, message }) => isBinary && message === undefined ? false : undefined }],
  ['ignores binary messages', 'binary-json', { fromClient: ({ isBinary }) => isBinary ? 'not JSON' : undefined }],
  ['has one code for all invalid input', 'wrong-shape', change('protocol_error', ({ error }) => { if (error.code === 'invalid_message') error.code = 'invalid_json' })],
  ['refuses a message twice', 'wrong-shape', { fromServer: (message) => message['type'] === 'protocol_error' ? [message, message] : [message] }],
  ['refuses without replyTo', 'wrong-shape-reply-to', change('protocol_error', (message) => { delete message['replyTo'] })],
  ['ignores extra properties', 'extra-property', changeRequest('ping', ({ type, id }) => ({ type, ...(id !== undefined && { id }) }))],
  ['truncates long ids', 'id-length', changeRequest('ping', ({ type, id }) => ({ type, ...(id !== undefined && { id: id.slice(0, 128) }) }))],
  ['truncates ids to 64 characters', 'id-length', changeRequest('ping', ({ type, id }) => ({ type, id: id.slice(0, 64) }))],
  ['lists too many reasons', 'detail-bounds', change('protocol_error', ({ error }) => { error.detail = ['a', 'b', 'c', 'd'] })],
  ['lists reasons that are too long', 'detail-bounds', change('protocol_error', ({ error }) => { error.detail = ['a'.repeat(129)] })],
  ['repeats the input', 'no-echo', {
    fromClient ({ text }, { own }) { if (!text.includes('barrier')) own['last'] = text },
    ...change('protocol_error', ({ error }, { own }) => { error.message = `cannot read ${own['last']}` })
  }],
  ['repeats unknown names', 'no-echo', {
    fromClient ({ text }, { own }) { if (!text.includes('barrier')) own['last'] = text },
    ...change('subscription_error', ({ error }, { own }) => { error.message = `unknown: ${own['last']}` })
  }],
  ['does not answer some input', 'no-echo', { fromServer: (message) => message['type'] === 'subscription_error' ? [] : [message] }],

  ['omits an ack', 'ack-per-channel', { fromServer: (message) => isAck(message) && message['payload'].channel === 'health_delta' ? [] : [message] }],
  ['sends acks in the wrong order', 'ack-per-channel', delay((message) => isAck(message) && message['payload'].channel === 'mission_stats', isAck)],
  ['sends an ack after the snapshot', 'ack-before-snapshot', delay((message) => isAck(message) && message['payload'].channel === 'health_delta', ({ type }) => type === 'health_delta')],
  ['ignores the case of names', 'unknown-channel', changeRequest('subscribe', (message) => ({ ...message, channels: message['channels'].map((name: string) => name.toLowerCase()) }))],
  ['subscribes to no channel when one is unknown', 'unknown-channel', changeRequest('subscribe', (message) => {
    const known = message['channels'].filter((name: string) => /^[a-z]+_[a-z]+$/.test(name))
    return known.length === message['channels'].length ? undefined : { ...message, channels: message['channels'].filter((name: string) => !known.includes(name)) }
  })],
  ['counts positions from 1', 'unsubscribe-unknown', change('subscription_error', ({ error }) => { error.position++ })],
  ['sends one error for all unknown names', 'unknown-channel', {
    fromServer: (message) => message['type'] === 'subscription_error' && message['error'].position > 0 ? [] : [message]
  }],
  ['acknowledges a duplicate name twice', 'duplicate-names', { fromServer: (message) => isAck(message) ? [message, message] : [message] }],
  ['ignores names after the 64th', 'max-names', changeRequest('subscribe', (message) => ({ ...message, channels: message['channels'].slice(0, 64) }))],
  ['accepts at most 63 names', 'max-names', changeRequest('subscribe', (message) => message['channels'].length > 63 ? { ...message, channels: [] } : undefined)],
  ['sends messages twice after a repeated subscription', 'subscribe-again', {
    fromServer (message, { own }) {
      if (isAck(message)) own['count'] = (own['count'] ?? 0) + 1
      return isUpdate(message) && own['count'] > 1 ? [message, { ...message, id: `${message['id']}b` }] : [message]
    }
  }],
  ['starts over on a repeated subscription', 'subscribe-again', change('subscription_ack', ({ payload }) => { payload.outcome ??= 'fresh' })],
  ['sends a second snapshot', 'subscribe-again', {
    fromServer: (message, connection) => isAck(message) && message['payload'].outcome === undefined
      ? [message, connection.make('mission_update', { payload: { missionId: 'm', name: 'n', seq: 1, status: 'planned', snapshot: true } })]
      : [message]
  }],
  ['sends messages after unsubscribe', 'unsubscribe-silence', changeRequest('unsubscribe', ({ id, channels }, connection) => {
    for (const channel of channels) connection.send(connection.make('subscription_ack', { replyTo: id, payload: { channel, status: 'unsubscribed' } }))
    return false
  })],

  ['does not answer ping frames', 'protocol-ping', { server: { autoPong: false } as object }],
  ['closes with the wrong code on invalid UTF-8', 'invalid-utf8', {
    server: { skipUTF8Validation: true },
    fromClient: ({ text }, connection) => { if (text.includes('\ufffd')) connection.close(1003) }
  }],
  ['closes with the wrong code on a large message', 'large-message', { closeCode: (code) => code === 1009 ? 1008 : code }],
  ['accepts messages of any size', 'large-message', changeRequest('ping', (message, _link, { text }) => text.length > 10_000 ? JSON.stringify(message) : undefined)],
  ['drops the connection instead of answering a close frame', 'close-handshake', {
    onOpen: ({ stream }) => stream.prependListener('data', (chunk: Buffer) => { if ((chunk[0]! & 0x0f) === 8) stream.destroy() })
  }],
  ['announces a heartbeat interval of 0', 'heartbeat', change('heartbeat', (message) => { message['intervalMs'] = 0 })],
  ['sends one heartbeat only', 'heartbeat', { fromServer: (message, { own }) => message['type'] === 'heartbeat' && (own['beats'] = (own['beats'] ?? 0) + 1) > 1 ? [] : [message] }],
  ['sends no heartbeats', 'heartbeat', { fromServer: (message) => message['type'] === 'heartbeat' ? [] : [message] }],
  ['sends heartbeats without heads', 'heartbeat-heads', change('heartbeat', (message) => { delete message['heads'] })],
  ['sends outdated heads', 'heartbeat-heads', change('heartbeat', (message) => { message['heads'] = { mission_update: { epoch: 'old', offset: 0, id: '' } } })],
  ['sends heads of channels without a subscription', 'heartbeat-heads', change('heartbeat', (message) => { message['heads'] = { ...message['heads'], health_delta: { epoch: 'e', offset: 0, id: '' } } })],

  ['sends an ack without outcome', 'outcome-fresh', change('subscription_ack', ({ payload }) => { delete payload.outcome })],
  ['sends an ack without asOf', 'outcome-fresh', change('subscription_ack', ({ payload }) => { delete payload.asOf })],
  ['sends an ack without a message count', 'outcome-fresh', change('subscription_ack', ({ payload }) => { delete payload.messages })],
  ['announces one message too many', 'snapshot-count', change('subscription_ack', ({ payload }) => { payload.messages++ })],
  ['announces one message too few', 'snapshot-count', change('subscription_ack', ({ payload }) => { payload.messages-- })],
  ['does not mark the snapshot', 'snapshot-count', change(undefined, ({ payload }) => { delete payload?.snapshot })],
  ['has a wrong checksum', 'snapshot-checksum', change('subscription_ack', ({ payload }) => { if (payload.asOf?.checksum) payload.asOf.checksum = '7-00000000' })],
  ['omits a mission from the snapshot', 'snapshot-checksum', {
    fromServer (message, { own }) {
      const { payload } = message
      if (payload?.asOf !== undefined) payload.messages--
      const isLeft = payload?.snapshot === true && !ENDINGS.includes(payload.status) && own['isLeft'] === undefined
      if (isLeft) own['isLeft'] = true
      return isLeft ? [] : [message]
    }
  }],
  ['ignores snapshot: true', 'snapshot-flag', changeRequest('subscribe', ({ snapshot, ...message }) => message)],
  ['reports a resume as fresh', 'resume-nothing-missed', change('subscription_ack', ({ payload }) => { payload.outcome = 'fresh' })],
  ['ignores cursors', 'resume-missed', changeRequest('subscribe', ({ since, ...message }) => message)],
  ['replays messages with new ids', 'resume-missed', change('mission_update', (message, { own }) => { message['id'] = `${message['id']}${own['salt'] ??= Math.random()}` })],
  ['sends a wrong asOf after a resume', 'resume-missed', change('subscription_ack', ({ payload }) => { if (payload.outcome === 'resumed') payload.asOf.offset++ })],
  ['replays messages with new offsets', 'resume-missed', change('mission_update', (message, { shared }) => { if (message['position']) message['position'].offset = shared['offset'] = (shared['offset'] ?? 500) + 1 })],
  ['accepts any epoch', 'resume-epoch', TRUSTS_CURSORS],
  ['accepts any message id', 'resume-wrong-id', TRUSTS_CURSORS],
  ['accepts any offset', 'resume-beyond-head', TRUSTS_CURSORS],
  ['reports the wrong cause of a gap', 'resume-epoch', change('subscription_ack', ({ payload }) => { if (payload.gap) payload.gap.cause = 'trimmed' })],
  ['ignores since and filter of other channels', 'subscribe-other-channel', changeRequest('subscribe', ({ type, id, channels }) => ({ type, id, channels }))],

  ['acknowledges a start after the first update', 'start-ack', delay(({ type }) => type === 'mission_ack', isUpdate)],
  ['acknowledges a start with the wrong status', 'start-ack', change('mission_ack', ({ payload }) => { payload.status = 'started' })],
  ['starts a second mission for the same id', 'start-again', {
    ...changeRequest('mission_start', ({ id, ...message }, { own }) => {
      own['id'] = id
      return message
    }),
    ...change('mission_ack', (message, { own }) => { message['replyTo'] = own['id'] })
  }],
  ['accepts a different command with the same id', 'start-again', changeRequest('mission_start', (message) => ({ ...message, command: message['command'].trim() }))],
  ['answers mission_get without snapshot: true', 'mission-get', change('mission_update', (message) => { if (message['replyTo']) delete message['payload'].snapshot })],
  ['answers mission_get with an outdated status', 'mission-get', change('mission_update', (message) => { if (message['replyTo']) message['payload'].status = 'planned' })],
  ['acknowledges a cancel as a start', 'mission-cancel', change('mission_ack', ({ payload }) => { delete payload.action })],
  ['ignores filters', 'filter-ids', changeRequest('subscribe', ({ filter, ...message }) => message)],
  ['excludes instead of including the ids of a filter', 'filter-ids', changeRequest('subscribe', (message) => message['filter'] && message['filter'].missionIds[0].startsWith('mission_') ? { type: 'subscribe', id: message['id'], channels: message['channels'] } : undefined)],
  ['ignores the statuses of filters', 'filter-statuses', changeRequest('subscribe', ({ filter, ...message }) => message)],

  ['omits a field', 'envelope-schema', change('mission_stats', ({ payload }) => { delete payload.total })],
  ['sends binary frames', 'envelope-schema', { fromServer: (message) => [message['type'] === 'pong' ? message : Buffer.from(JSON.stringify(message))] }],
  ['sends an array', 'envelope-schema', { fromServer: (message) => message['type'] === 'whoami' && !message['replyTo'] ? ['[]', message] : [message] }],
  ['sends text that is not JSON', 'envelope-schema', { fromServer: (message) => message['type'] === 'whoami' && !message['replyTo'] ? ['hello', message] : [message] }],
  ['sends the protocol version as a string', 'envelope-version', change(undefined, (message) => { message['protocolVersion'] = '1' })],
  ['sends local time', 'envelope-time', change(undefined, (message) => { message['timestamp'] = new Date(message['unix'] + 7_200_000).toISOString() })],
  ['sends seconds', 'envelope-time', change(undefined, (message) => { message['unix'] = message['unix'] / 1_000 })],
  ['reuses ids', 'envelope-ids', change(undefined, (message) => { message['id'] = 'message_1' })],
  ['repeats the ids of a snapshot in the next one', 'envelope-ids', change(undefined, (message, { own }) => {
    if (message['payload']?.snapshot === true && message['replyTo'] === undefined) message['id'] = own[`${message['type']} ${message['payload'].missionId}`] ??= message['id']
  })],
  ['sends reliable messages twice', 'envelope-ids', { fromServer: (message) => message['position'] === undefined ? [message] : [message, message] }],
  ['changes messages when it replays them', 'envelope-ids', change('mission_update', (message, { own }) => {
    if (own[message['id']] !== undefined) message['payload'].seq++
    own[message['id']] = true
  })],
  ['omits ids', 'envelope-ids', change('whoami', (message) => { delete message['id'] })],
  ['changes its version', 'envelope-server', change('protocol_error', (message) => { message['server'].version = '9' })],
  ['skips an offset', 'positions-contiguous', change('mission_update', (message) => { if (message['position']) message['position'].offset *= 2 })],
  ['changes its epoch', 'positions-contiguous', change('mission_update', (message) => { if (message['position']) message['position'].epoch = message['id'] })],
  ['moves a status backwards', 'mission-order', change('mission_update', (message) => { if (isEnding(message)) message['payload'].status = 'planning_started' })],
  ['does not increase seq', 'mission-order', change('mission_update', ({ payload }) => { payload.seq = 1 })],
  ['ends a mission twice', 'mission-one-ending', {
    fromServer: (message, connection) => isEnding(message)
      ? [message, connection.make('mission_update', { payload: { ...message['payload'], status: 'error', seq: message['payload'].seq + 1 } })]
      : [message]
  }],
  ['sends updates after the end', 'mission-one-ending', {
    fromServer: (message, connection) => isEnding(message)
      ? [message, connection.make('mission_update', { payload: { ...message['payload'], status: 'execution_progress', seq: message['payload'].seq + 1 } })]
      : [message]
  }]
]

/** Servers for which a check is skipped: the reason in words, the check, the implementation, the reason it prints. */
export const UNJUDGED: ReadonlyArray<[string, string, Break, RegExp]> = [
  ['has no checksums', 'snapshot-checksum', change('subscription_ack', ({ payload }) => { delete payload.asOf?.checksum }), /has no checksum/],
  ['denies replay', 'resume-missed', change('subscription_ack', ({ payload }) => { if (payload.outcome === 'resumed') Object.assign(payload, { outcome: 'gap', gap: { cause: 'not_authorised' } }) }), /may not receive/],
  ['denies subscriptions', 'outcome-fresh', {
    fromServer: (message, connection) => isAck(message)
      ? [connection.make('subscription_error', { replyTo: message['replyTo'], error: { code: 'forbidden', message: 'no', position: 0 } })]
      : [message]
  }, /may not subscribe to mission_update/],
  ['does not support cancel', 'mission-cancel', change('whoami', ({ payload }) => { payload.capabilities = ['mission_start'] }), /does not support mission_cancel/],
  ['does not support start', 'start-ack', change('whoami', ({ payload }) => { payload.capabilities = [] }), /does not support mission_start/],
  ['sends capabilities that are not a list', 'start-ack', change('whoami', ({ payload }) => { payload.capabilities = 'all' }), /does not support mission_start/]
]
