import type { Check } from '../check.js'
import type { CheckContext } from '../context.js'
import { expect, Failure, show, Skip } from '../outcome.js'
import type { Peer, WireMessage } from '../peer.js'
import { asOfIn, subscribe } from '../subscribe.js'

/** Missed heartbeats after which a client considers the connection dead. */
const MISSED_HEARTBEATS = 2

/** Sizes of messages to try. No server has to accept the last one. */
const SIZES = [32_768, 262_144, 2_097_152, 16_777_217]

/** A ping of more than `bytes` bytes. */
const paddedPing = (bytes: number): string => `{"type":"ping","id":"big"${' '.repeat(bytes)}}`

const waitMs = ({ heartbeatMs, timeoutMs }: CheckContext): number => heartbeatMs ?? timeoutMs

interface WireHead { epoch?: unknown, offset?: unknown }

async function nextHeartbeat (context: CheckContext, peer: Peer, from = 0): Promise<WireMessage> {
  const timeoutMs = waitMs(context)
  try {
    return await peer.next('a heartbeat', ({ type }) => type === 'heartbeat', { from, timeoutMs })
  } catch (err) {
    if (context.heartbeatMs !== undefined || peer.isClosed) throw err
    throw new Skip(`no heartbeat within ${timeoutMs} ms; --heartbeat sets a longer time limit`)
  }
}

export const TRANSPORT_CHECKS: readonly Check[] = [
  {
    name: 'protocol-ping',
    demands: 'A ping frame (RFC 6455) is answered with a pong frame with the same data.',
    async run (context) {
      const peer = await context.open()
      const pongs: string[] = []
      peer.socket.on('pong', (data) => pongs.push(String(data)))
      peer.socket.ping('conformance')
      await peer.barrier()
      expect(show(pongs) === show(['conformance']), 'one pong frame with the same data', pongs)
    }
  },
  {
    name: 'invalid-utf8',
    demands: 'A text frame that is not UTF-8 is answered with `protocol_error` `invalid_json`, or with a close ' +
      'with code 1007.',
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
    demands: 'A message that is too large is answered with a close with code 1009.',
    async run (context) {
      for (const bytes of SIZES) {
        const peer = await context.open()
        peer.send(paddedPing(bytes))
        const isAccepted = await peer.next('a pong', ({ type }) => type === 'pong').then(() => true, () => false)
        if (isAccepted) continue
        const { code } = await peer.whenClosed(`a pong or a close after ${bytes} bytes`)
        return expect(code === 1009, `a close with code 1009 after ${bytes} bytes`, String(code))
      }
      throw new Failure(`a close with code 1009 for a message of ${SIZES.at(-1)} bytes`, 'a pong')
    }
  },
  {
    name: 'close-handshake',
    demands: 'A close frame of the client is answered with a close frame with the same code.',
    async run (context) {
      const peer = await context.open()
      peer.socket.close(1000)
      const { code } = await peer.whenClosed('a close frame')
      expect(code === 1000, 'a close with code 1000', String(code))
    }
  },
  {
    name: 'heartbeat',
    demands: 'Every connection receives heartbeats. After a heartbeat with `intervalMs`, the next one arrives within ' +
      'twice that time.',
    async run (context) {
      const peer = await context.open()
      const { intervalMs } = await nextHeartbeat(context, peer) as { intervalMs?: number }
      if (intervalMs === undefined || intervalMs > waitMs(context)) return
      expect(Number.isInteger(intervalMs) && intervalMs > 0, 'intervalMs as a positive integer', { intervalMs })
      const timeoutMs = intervalMs * MISSED_HEARTBEATS
      await peer.next('another heartbeat', ({ type }) => type === 'heartbeat', { from: peer.mark, timeoutMs })
    }
  },
  {
    name: 'heartbeat-heads',
    demands: '`heads` of a heartbeat contains the last position of every subscribed channel with positions, and no ' +
      'other channel.',
    async run (context) {
      const peer = await context.open()
      const before = asOfIn(await subscribe(peer, 'mission_update'))
      await subscribe(peer, 'mission_stats')
      const heartbeat = await nextHeartbeat(context, peer, peer.mark) as { heads?: Record<string, WireHead> }
      const head = heartbeat.heads?.['mission_update']
      const isCurrent = head?.epoch === before.epoch && Number(head.offset) >= before.offset
      expect(isCurrent, `heads with mission_update at ${show(before)} or later`, heartbeat)
      const others = Object.keys(heartbeat.heads!).filter((name) => name !== 'mission_update')
      expect(others.length === 0, 'no heads of channels without a subscription', others)
    }
  }
]
