import { LOGGED_CHANNELS } from '../../../schemas/channels/index.js'
import type { Check } from '../check.js'
import { expect, Failure, show, Skip } from '../outcome.js'
import type { Context } from '../context.js'
import type { Peer, WireMessage } from '../peer.js'
import { asOfIn, subscribe } from '../subscribe.js'

/** A client takes a connection for dead after this many heartbeats did not come. */
const MISSED_BEATS = 2

/** Sizes of messages that are tried; the last one is more than any server has to take. */
const SIZES = [32_768, 262_144, 2_097_152, 16_777_217]

/** A ping that is `bytes` long. */
const padded = (bytes: number): string => `{"type":"ping","id":"big"${' '.repeat(bytes)}}`

const waitMs = ({ heartbeatMs, timeoutMs }: Context): number => heartbeatMs ?? timeoutMs

async function heartbeat (context: Context, peer: Peer, from = 0): Promise<WireMessage> {
  const timeoutMs = waitMs(context)
  try {
    return await peer.next('a heartbeat', ({ type }) => type === 'heartbeat', { from, timeoutMs })
  } catch (err) {
    if (context.heartbeatMs !== undefined || peer.isClosed) throw err
    throw new Skip(`no heartbeat within ${timeoutMs} ms; --heartbeat waits longer for one`)
  }
}

export const TRANSPORT_CHECKS: readonly Check[] = [
  {
    name: 'protocol-ping',
    demands: 'A ping frame of RFC 6455 gets a pong frame with the same data.',
    async run (context) {
      const peer = await context.open()
      const pongs: string[] = []
      peer.socket.on('pong', (data) => pongs.push(String(data)))
      peer.socket.ping('conformance')
      await peer.fence()
      expect(show(pongs) === show(['conformance']), 'one pong frame with the same data', pongs)
    }
  },
  {
    name: 'invalid-utf8',
    demands: 'A text frame that is not UTF-8 gets `protocol_error` `invalid_json`, or a close with code 1007.',
    async run (context) {
      const peer = await context.open()
      peer.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]))
      try {
        await peer.next('an answer', ({ error }) => Object(error).code === 'invalid_json')
      } catch {
        const { code } = await peer.whenClosed('protocol_error invalid_json, or a close')
        expect(code === 1007, 'a close with code 1007', String(code))
      }
    }
  },
  {
    name: 'large-message',
    demands: 'A message that is too large closes the connection with code 1009.',
    async run (context) {
      for (const bytes of SIZES) {
        const peer = await context.open()
        peer.send(padded(bytes))
        const isTaken = await peer.next('a pong', ({ type }) => type === 'pong').then(() => true, () => false)
        if (isTaken) continue
        const { code } = await peer.whenClosed(`a pong or a close after ${bytes} bytes`)
        return expect(code === 1009, `a close with code 1009 after ${bytes} bytes`, String(code))
      }
      throw new Failure(`a close with code 1009 for a message of ${SIZES.at(-1)} bytes`, 'a pong')
    }
  },
  {
    name: 'close-handshake',
    demands: 'A close of the client is answered by a close frame with the same code.',
    async run (context) {
      const peer = await context.open()
      peer.socket.close(1000)
      const { code } = await peer.whenClosed('a close frame')
      expect(code === 1000, 'a close with code 1000', String(code))
    }
  },
  {
    name: 'heartbeat',
    demands: 'Heartbeats come to everybody, and after one with `intervalMs` the next within twice that time.',
    async run (context) {
      const peer = await context.open()
      const { intervalMs } = await heartbeat(context, peer) as { intervalMs?: number }
      if (intervalMs === undefined || intervalMs > waitMs(context)) return
      expect(Number.isInteger(intervalMs) && intervalMs > 0, 'intervalMs as a whole number of ms', { intervalMs })
      await peer.next('another heartbeat', ({ type }) => type === 'heartbeat', { from: peer.mark, timeoutMs: intervalMs * MISSED_BEATS })
    }
  },
  {
    name: 'heartbeat-heads',
    demands: 'A heartbeat has in `heads` the last positions of the channels with positions that the client is subscribed to, and of no others.',
    async run (context) {
      const peer = await context.open()
      const before = asOfIn(await subscribe(peer, 'mission_update'))
      await subscribe(peer, 'mission_stats')
      const beat = await heartbeat(context, peer, peer.mark) as { heads?: Record<string, { epoch?: unknown, offset?: unknown }> }
      const head = beat.heads?.['mission_update']
      expect(head?.epoch === before.epoch && Number(head.offset) >= before.offset, `heads with mission_update at ${show(before)} or later`, beat)
      const strange = LOGGED_CHANNELS.filter((name) => name !== 'mission_update' && beat.heads?.[name] !== undefined)
      expect(strange.length === 0, 'no heads of channels that were not subscribed to', strange)
    }
  }
]
