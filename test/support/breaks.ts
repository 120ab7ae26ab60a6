import type { Break, Input, Link, Loose } from './broken-server.js'

const ENDINGS = ['completed', 'cancelled', 'error']

/** Changes messages of one type, or all of them. */
const change = (type: string | undefined, act: (message: Loose, link: Link) => void): Break => ({
  fromServer (message, link) {
    if (type === undefined || message['type'] === type) act(message, link)
    return [message]
  }
})

/** Changes what a client asks for with messages of one type. */
const hear = (type: string, act: (message: Loose, link: Link, input: Input) => Loose | string | false | undefined): Break => ({
  fromClient (input, link) {
    return input.message?.['type'] === type ? act(input.message, link, input) : undefined
  }
})

const isStep = ({ type, payload }: Loose): boolean => type === 'mission_update' && payload.snapshot !== true
const isEnding = (message: Loose): boolean => isStep(message) && ENDINGS.includes(message['payload'].status)
const isAck = ({ type, payload }: Loose): boolean => type === 'subscription_ack' && payload.status === 'subscribed'

/** Holds the messages that are `held` back until right after one that is `until`. */
const delay = (held: (message: Loose) => boolean, until: (message: Loose) => boolean): Break => ({
  fromServer (message, { own }) {
    const waiting = (own['waiting'] ??= []) as Loose[]
    if (held(message)) {
      waiting.push(message)
      return []
    }
    return until(message) ? [message, ...waiting.splice(0)] : [message]
  }
})

/** Believes every cursor to be the right one. */
const TRUSTS_CURSORS: Break = {
  fromServer (message, { shared }) {
    if (isAck(message) && message['payload'].asOf !== undefined) {
      const { epoch, offset, id } = message['payload'].asOf
      shared[message['payload'].channel] = { epoch, offset, id }
    }
    return [message]
  },
  ...hear('subscribe', (message, { shared }) => message['since'] && { ...message, since: { mission_update: shared['mission_update'] } })
}

/** Broken servers: what is wrong with each, the check that is there to find it, and how it is done. */
export const BREAKS: ReadonlyArray<[string, string, Break]> = [
  ['drops replyTo', 'reply-to', change('whoami', (message) => { delete message['replyTo'] })],
  ['makes up a replyTo', 'no-reply-to', change('whoami', (message) => { message['replyTo'] ??= 'none' })],
  ['answers a ping with a payload', 'ping-pong', change('pong', (message) => { message['payload'] = {} })],
  ['answers a ping twice', 'ping-pong', { fromServer: (message) => message['replyTo'] === 'p' ? [message, message] : [message] }],
  ['answers out of order', 'reply-order', delay(({ type }) => type === 'whoami', ({ type }) => type === 'subscription_ack')],
  ['has another name in whoami', 'whoami', change('whoami', ({ payload }) => { payload.server = { name: 'other', version: '1' } })],
  ['has another version in whoami', 'whoami', change('whoami', ({ payload }) => { payload.version = 'other' })],
  ['says nothing of itself', 'whoami', change('whoami', (message) => { delete message['payload'] })],
  ['lists no channels', 'whoami', change('whoami', ({ payload }) => { payload.channels = [] })],
  ['lists a channel that it has not', 'whoami', change('whoami', ({ payload }) => { payload.channels.push('none') })],
  ['lists no commands', 'whoami', change('whoami', ({ payload }) => { delete payload.capabilities })],
  ['cancels what does not exist', 'cancel-unknown', hear('mission_cancel', ({ id, missionId }, link) => {
    link.send(link.make('mission_ack', { replyTo: id, payload: { missionId, status: 'accepted', action: 'cancel' } }))
    return false
  })],
  ['has another code for what is unknown', 'get-unknown', change('protocol_error', ({ error }) => { if (error.code === 'unknown_mission') error.code = 'forbidden' })],
  ['lists a start that it does not take', 'start-unsupported', hear('mission_start', ({ id }, link) => {
    link.send(link.make('protocol_error', { replyTo: id, error: { code: 'unsupported', message: 'no' } }))
    return false
  })],
  ['takes a start that it does not list', 'start-unsupported', change('whoami', ({ payload }) => { payload.capabilities = [] })],
  ['refuses to unsubscribe from nothing', 'unsubscribe-not-subscribed', {
    fromServer: (message, link) => message['payload']?.status === 'unsubscribed' ? [link.make('protocol_error', { error: { code: 'invalid_message', message: 'no' } })] : [message]
  }],

  ['closes on bad JSON', 'invalid-json', { fromClient: ({ text, message }, link) => { if (message === undefined && text !== '') link.close(1003) } }],
  ['does not answer an empty message', 'empty-message', { fromClient: ({ text }) => text === '' ? false : undefined }],
  ['does not answer binary garbage', 'binary-garbage', { fromClient: ({ isBinary, message }) => isBinary && message === undefined ? false : undefined }],
  ['reads no binary messages', 'binary-json', { fromClient: ({ isBinary }) => isBinary ? 'not JSON' : undefined }],
  ['has one code for all that is invalid', 'wrong-shape', change('protocol_error', ({ error }) => { if (error.code === 'invalid_message') error.code = 'invalid_json' })],
  ['refuses a message twice', 'wrong-shape', { fromServer: (message) => message['type'] === 'protocol_error' ? [message, message] : [message] }],
  ['refuses without replyTo', 'wrong-shape-reply-to', change('protocol_error', (message) => { delete message['replyTo'] })],
  ['overlooks extra properties', 'extra-property', hear('ping', ({ type, id }) => ({ type, ...(id !== undefined && { id }) }))],
  ['cuts long ids', 'id-length', hear('ping', ({ type, id }) => ({ type, ...(id !== undefined && { id: id.slice(0, 128) }) }))],
  ['takes only short ids', 'id-length', hear('ping', ({ type, id }) => ({ type, id: id.slice(0, 64) }))],
  ['gives too many reasons', 'detail-bounds', change('protocol_error', ({ error }) => { error.detail = ['a', 'b', 'c', 'd'] })],
  ['gives long reasons', 'detail-bounds', change('protocol_error', ({ error }) => { error.detail = ['a'.repeat(129)] })],
  ['repeats the input', 'no-echo', {
    fromClient ({ text }, { own }) { if (!text.includes('fence')) own['last'] = text },
    ...change('protocol_error', ({ error }, { own }) => { error.message = `cannot read ${own['last']}` })
  }],
  ['repeats unknown names', 'no-echo', {
    fromClient ({ text }, { own }) { if (!text.includes('fence')) own['last'] = text },
    ...change('subscription_error', ({ error }, { own }) => { error.message = `unknown: ${own['last']}` })
  }],
  ['does not answer some input', 'no-echo', { fromServer: (message) => message['type'] === 'subscription_error' ? [] : [message] }],

  ['forgets an ack', 'ack-per-channel', { fromServer: (message) => isAck(message) && message['payload'].channel === 'health_delta' ? [] : [message] }],
  ['acks in another order', 'ack-per-channel', delay((message) => isAck(message) && message['payload'].channel === 'mission_stats', isAck)],
  ['acks after the snapshot', 'ack-before-snapshot', delay((message) => isAck(message) && message['payload'].channel === 'health_delta', ({ type }) => type === 'health_delta')],
  ['matches names in any case', 'unknown-channel', hear('subscribe', (message) => ({ ...message, channels: message['channels'].map((name: string) => name.toLowerCase()) }))],
  ['subscribes to nothing when a name is unknown', 'unknown-channel', hear('subscribe', (message) => {
    const known = message['channels'].filter((name: string) => /^[a-z]+_[a-z]+$/.test(name))
    return known.length === message['channels'].length ? undefined : { ...message, channels: message['channels'].filter((name: string) => !known.includes(name)) }
  })],
  ['counts positions from 1', 'unsubscribe-unknown', change('subscription_error', ({ error }) => { error.positions = error.positions.map((at: number) => at + 1) })],
  ['reports each unknown name alone', 'unknown-channel', {
    fromServer: (message) => message['type'] !== 'subscription_error' ? [message] : message['error'].positions.map((at: number) => ({ ...message, error: { ...message['error'], positions: [at] } }))
  }],
  ['acks a name as often as it is there', 'duplicate-names', { fromServer: (message) => isAck(message) ? [message, message] : [message] }],
  ['reads only the first 64 names', 'max-names', hear('subscribe', (message) => ({ ...message, channels: message['channels'].slice(0, 64) }))],
  ['reads at most 63 names', 'max-names', hear('subscribe', (message) => message['channels'].length > 63 ? { ...message, channels: [] } : undefined)],
  ['subscribes twice', 'subscribe-again', {
    fromServer (message, { own }) {
      if (isAck(message)) own['count'] = (own['count'] ?? 0) + 1
      return isStep(message) && own['count'] > 1 ? [message, { ...message, id: `${message['id']}b` }] : [message]
    }
  }],
  ['begins anew when asked again', 'subscribe-again', change('subscription_ack', ({ payload }) => { payload.outcome ??= 'fresh' })],
  ['sends the snapshot again', 'subscribe-again', {
    fromServer: (message, link) => isAck(message) && message['payload'].outcome === undefined
      ? [message, link.make('mission_update', { payload: { missionId: 'm', name: 'n', seq: 1, status: 'planned', snapshot: true } })]
      : [message]
  }],
  ['sends after unsubscribe', 'unsubscribe-silence', hear('unsubscribe', ({ id, channels }, link) => {
    for (const channel of channels) link.send(link.make('subscription_ack', { replyTo: id, payload: { channel, status: 'unsubscribed' } }))
    return false
  })],

  ['does not answer pings of the protocol', 'protocol-ping', { server: { autoPong: false } as object }],
  ['closes with another code for what is no UTF-8', 'invalid-utf8', {
    server: { skipUTF8Validation: true },
    fromClient: ({ text }, link) => { if (text.includes('\ufffd')) link.close(1003) }
  }],
  ['closes with another code for what is too large', 'large-message', { closeCode: (code) => code === 1009 ? 1008 : code }],
  ['takes messages of any size', 'large-message', hear('ping', (message, _link, { text }) => text.length > 10_000 ? JSON.stringify(message) : undefined)],
  ['cuts the connection when a client closes it', 'close-handshake', {
    onOpen: ({ stream }) => stream.prependListener('data', (chunk: Buffer) => { if ((chunk[0]! & 0x0f) === 8) stream.destroy() })
  }],
  ['says that the next heartbeat comes at once', 'heartbeat', change('heartbeat', (message) => { message['intervalMs'] = 0 })],
  ['beats once', 'heartbeat', { fromServer: (message, { own }) => message['type'] === 'heartbeat' && (own['beats'] = (own['beats'] ?? 0) + 1) > 1 ? [] : [message] }],
  ['never beats', 'heartbeat', { fromServer: (message) => message['type'] === 'heartbeat' ? [] : [message] }],
  ['beats without heads', 'heartbeat-heads', change('heartbeat', (message) => { delete message['heads'] })],
  ['shows heads of the past', 'heartbeat-heads', change('heartbeat', (message) => { message['heads'] = { mission_update: { epoch: 'old', offset: 0, id: '' } } })],
  ['shows heads of all channels', 'heartbeat-heads', change('heartbeat', (message) => { message['heads'] = { ...message['heads'], health_delta: { epoch: 'e', offset: 0, id: '' } } })],

  ['does not say how a subscription begins', 'outcome-fresh', change('subscription_ack', ({ payload }) => { delete payload.outcome })],
  ['gives no cursor', 'outcome-fresh', change('subscription_ack', ({ payload }) => { delete payload.asOf })],
  ['does not say how many messages follow', 'outcome-fresh', change('subscription_ack', ({ payload }) => { delete payload.messages })],
  ['announces one message too many', 'snapshot-count', change('subscription_ack', ({ payload }) => { payload.messages++ })],
  ['announces one message too few', 'snapshot-count', change('subscription_ack', ({ payload }) => { payload.messages-- })],
  ['does not mark the snapshot', 'snapshot-count', change(undefined, ({ payload }) => { delete payload?.snapshot })],
  ['has a wrong checksum', 'snapshot-checksum', change('subscription_ack', ({ payload }) => { if (payload.asOf?.checksum) payload.asOf.checksum = '7-00000000' })],
  ['leaves a mission out of the state', 'snapshot-checksum', {
    fromServer (message, { own }) {
      const { payload } = message
      if (payload?.asOf !== undefined) payload.messages--
      const isLeft = payload?.snapshot === true && !ENDINGS.includes(payload.status) && own['isLeft'] === undefined
      if (isLeft) own['isLeft'] = true
      return isLeft ? [] : [message]
    }
  }],
  ['overlooks snapshot: true', 'snapshot-flag', hear('subscribe', ({ snapshot, ...message }) => message)],
  ['calls a resume fresh', 'resume-nothing-missed', change('subscription_ack', ({ payload }) => { payload.outcome = 'fresh' })],
  ['overlooks cursors', 'resume-missed', hear('subscribe', ({ since, ...message }) => message)],
  ['gives what is sent again new ids', 'resume-missed', change('mission_update', (message, { own }) => { message['id'] = `${message['id']}${own['salt'] ??= Math.random()}` })],
  ['shows a wrong cursor after a resume', 'resume-missed', change('subscription_ack', ({ payload }) => { if (payload.outcome === 'resumed') payload.asOf.offset++ })],
  ['renumbers what is sent again', 'resume-missed', change('mission_update', (message, { shared }) => { if (message['position']) message['position'].offset = shared['offset'] = (shared['offset'] ?? 500) + 1 })],
  ['believes any epoch', 'resume-epoch', TRUSTS_CURSORS],
  ['believes any id', 'resume-wrong-id', TRUSTS_CURSORS],
  ['believes any offset', 'resume-beyond-head', TRUSTS_CURSORS],
  ['has another cause', 'resume-epoch', change('subscription_ack', ({ payload }) => { if (payload.gap) payload.gap.cause = 'trimmed' })],
  ['overlooks what does not belong together', 'subscribe-misfits', hear('subscribe', ({ type, id, channels }) => ({ type, id, channels }))],

  ['acks a start after the first update', 'start-ack', delay(({ type }) => type === 'mission_ack', isStep)],
  ['acks a start with another status', 'start-ack', change('mission_ack', ({ payload }) => { payload.status = 'started' })],
  ['starts again what was started', 'start-again', {
    ...hear('mission_start', ({ id, ...message }, { own }) => {
      own['id'] = id
      return message
    }),
    ...change('mission_ack', (message, { own }) => { message['replyTo'] = own['id'] })
  }],
  ['takes another command under the same id', 'start-again', hear('mission_start', (message) => ({ ...message, command: message['command'].trim() }))],
  ['does not mark what is looked up', 'mission-get', change('mission_update', (message) => { if (message['replyTo']) delete message['payload'].snapshot })],
  ['does not find what has ended', 'mission-get', change('mission_update', (message) => { if (message['replyTo']) message['payload'].status = 'planned' })],
  ['acks a cancel as a start', 'mission-cancel', change('mission_ack', ({ payload }) => { delete payload.action })],
  ['overlooks filters', 'filter-ids', hear('subscribe', ({ filter, ...message }) => message)],
  ['turns filters round', 'filter-ids', hear('subscribe', (message) => message['filter'] && message['filter'].missionIds[0].startsWith('mission_') ? { type: 'subscribe', id: message['id'], channels: message['channels'] } : undefined)],
  ['overlooks the statuses of filters', 'filter-statuses', hear('subscribe', ({ filter, ...message }) => message)],

  ['leaves a field out', 'envelope-schema', change('mission_stats', ({ payload }) => { delete payload.total })],
  ['sends binary frames', 'envelope-schema', { fromServer: (message) => [message['type'] === 'pong' ? message : Buffer.from(JSON.stringify(message))] }],
  ['sends lists', 'envelope-schema', { fromServer: (message) => message['type'] === 'whoami' && !message['replyTo'] ? ['[]', message] : [message] }],
  ['sends what is no JSON', 'envelope-schema', { fromServer: (message) => message['type'] === 'whoami' && !message['replyTo'] ? ['hello', message] : [message] }],
  ['has the version as text', 'envelope-version', change(undefined, (message) => { message['protocolVersion'] = '1' })],
  ['writes local time', 'envelope-time', change(undefined, (message) => { message['timestamp'] = new Date(message['unix'] + 7_200_000).toISOString() })],
  ['counts seconds', 'envelope-time', change(undefined, (message) => { message['unix'] = message['unix'] / 1_000 })],
  ['uses ids again', 'envelope-ids', change(undefined, (message) => { message['id'] = 'message_1' })],
  ['has no ids', 'envelope-ids', change('whoami', (message) => { delete message['id'] })],
  ['changes its version', 'envelope-server', change('protocol_error', (message) => { message['server'].version = '9' })],
  ['skips an offset', 'positions-contiguous', change('mission_update', (message) => { if (message['position']) message['position'].offset *= 2 })],
  ['changes its epoch', 'positions-contiguous', change('mission_update', (message) => { if (message['position']) message['position'].epoch = message['id'] })],
  ['goes back', 'mission-order', change('mission_update', (message) => { if (isEnding(message)) message['payload'].status = 'planning_started' })],
  ['does not count steps', 'mission-order', change('mission_update', ({ payload }) => { payload.seq = 1 })],
  ['ends a mission twice', 'mission-one-ending', {
    fromServer: (message, link) => isEnding(message)
      ? [message, link.make('mission_update', { payload: { ...message['payload'], status: 'error', seq: message['payload'].seq + 1 } })]
      : [message]
  }],
  ['tells of steps after the end', 'mission-one-ending', {
    fromServer: (message, link) => isEnding(message)
      ? [message, link.make('mission_update', { payload: { ...message['payload'], status: 'execution_progress', seq: message['payload'].seq + 1 } })]
      : [message]
  }]
]

/** Servers that a check says nothing about, with the reason. */
export const UNJUDGED: ReadonlyArray<[string, string, Break, RegExp]> = [
  ['has no checksums', 'snapshot-checksum', change('subscription_ack', ({ payload }) => { delete payload.asOf?.checksum }), /no checksum/],
  ['lets nobody have what was missed', 'resume-missed', change('subscription_ack', ({ payload }) => { if (payload.outcome === 'resumed') Object.assign(payload, { outcome: 'gap', gap: { cause: 'not_authorised' } }) }), /may not have/],
  ['lets nobody subscribe', 'outcome-fresh', {
    fromServer: (message, link) => isAck(message)
      ? [link.make('subscription_error', { replyTo: message['replyTo'], error: { code: 'forbidden', message: 'no', positions: [0] } })]
      : [message]
  }, /may not subscribe to mission_update/],
  ['takes no cancel', 'mission-cancel', change('whoami', ({ payload }) => { payload.capabilities = ['mission_start'] }), /does not take mission_cancel/],
  ['takes no start', 'start-ack', change('whoami', ({ payload }) => { payload.capabilities = [] }), /does not take mission_start/],
  ['has capabilities of no list', 'start-ack', change('whoami', ({ payload }) => { payload.capabilities = 'all' }), /does not take mission_start/]
]
