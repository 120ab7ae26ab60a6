import { CHANNEL_NAMES } from '../../../schemas/channels/index.js'
import { PROTOCOL_VERSION } from '../../../schemas/messages/envelope.js'
import { SERVER_MESSAGES } from '../../../schemas/messages/server-messages.js'
import { MISSION_STATUSES } from '../../../schemas/mission.js'
import { compile } from '../../base/validation.js'
import type { Check } from '../check.js'
import { expect, show, Skip } from '../outcome.js'
import { isEnding, type Context } from '../context.js'
import type { Peer, Received, WireMessage } from '../peer.js'
import { expectContiguous } from './positions.js'

const VALIDATORS = new Map<unknown, (message: unknown) => boolean>(Object.entries(SERVER_MESSAGES).map(([type, schema]) => [type, compile(schema)]))

/** All that came over all connections of the run, to which this adds some of each kind. */
async function traffic (context: Context): Promise<readonly Peer[]> {
  const peer = await context.open()
  await peer.answersTo({ type: 'subscribe', channels: CHANNEL_NAMES }, { type: 'whoami' }, 'not JSON')
  const mission = await context.tryStartMission()
  if (mission !== undefined) await context.ending(peer, mission)
  await peer.fence()
  return context.peers
}

const frames = (peers: readonly Peer[]): Received[] => peers.flatMap(({ received }) => received)
const messages = (peers: readonly Peer[]): WireMessage[] => peers.flatMap((peer) => peer.since(0))

/** The steps of missions as one connection was told of them. */
function steps (peers: readonly Peer[]): Map<string, WireMessage[]> {
  const all = new Map<string, WireMessage[]>()
  for (const [index, peer] of peers.entries()) {
    for (const message of peer.since(0)) {
      if (message.type !== 'mission_update' || message.payload?.['snapshot'] === true) continue
      const key = `${index} ${String(message.payload?.['missionId'])}`
      all.set(key, [...all.get(key) ?? [], message])
    }
  }
  if (all.size === 0) throw new Skip('no step of any mission was told; --start COMMAND makes some')
  return all
}

const rankOf = ({ payload }: WireMessage): number => isEnding({ payload: payload! }) ? MISSION_STATUSES.length : MISSION_STATUSES.indexOf(payload?.['status'] as never)

export const AUDITS: readonly Check[] = [
  {
    name: 'envelope-schema',
    demands: 'Every frame is text with one JSON object that fits the schema of its `type`.',
    async run (context) {
      for (const { message, text, isBinary } of frames(await traffic(context))) {
        expect(!isBinary && message !== undefined, 'a text frame with a JSON object', text)
        // A newer server may have types of its own.
        const validate = VALIDATORS.get(message!.type) ?? (() => true)
        expect(validate(message), `a valid ${show(message!.type)}`, message)
      }
    }
  },
  {
    name: 'envelope-version',
    demands: '`protocolVersion` is the number 1 in every message.',
    async run (context) {
      for (const message of messages(await traffic(context))) expect(message.protocolVersion === PROTOCOL_VERSION, `protocolVersion ${PROTOCOL_VERSION}`, message)
    }
  },
  {
    name: 'envelope-time',
    demands: '`timestamp` is ISO 8601 in UTC with milliseconds and the same moment as `unix`.',
    async run (context) {
      for (const message of messages(await traffic(context))) {
        const { unix, timestamp } = message
        const isSame = Number.isSafeInteger(unix) && Math.abs(unix as number) <= 8.64e15 && new Date(unix as number).toISOString() === timestamp
        expect(isSame, 'timestamp and unix of one moment', { unix, timestamp })
      }
    }
  },
  {
    name: 'envelope-ids',
    demands: 'An `id` stands for one message: over one connection no other message has it.',
    async run (context) {
      for (const peer of await traffic(context)) {
        const texts = new Map<unknown, string>()
        for (const { message, text } of peer.received) {
          const known = texts.get(message?.id)
          // The same state may be sent again to who subscribes again.
          expect(typeof message?.id === 'string' && (known === undefined || known === text), 'a new id', text)
          texts.set(message!.id, text)
        }
      }
    }
  },
  {
    name: 'envelope-server',
    demands: '`server` has the same name and version in every message.',
    async run (context) {
      const all = messages(await traffic(context))
      for (const message of all) expect(show(message.server) === show(all[0]!.server), `server ${show(all[0]!.server)}`, message)
    }
  },
  {
    name: 'positions-contiguous',
    demands: 'Positions of a channel count up by one, from behind `asOf`, within one epoch.',
    async run (context) {
      const told = (await traffic(context)).map(expectContiguous).reduce((sum, count) => sum + count, 0)
      if (told === 0) throw new Skip('no message with a position was told; --start COMMAND makes some')
    }
  },
  {
    name: 'mission-order',
    demands: '`seq` of a mission rises from message to message, and its status never goes back.',
    async run (context) {
      for (const list of steps(await traffic(context)).values()) {
        for (const [at, message] of list.slice(1).entries()) {
          const before = list[at]!
          const isLater = Number(message.payload?.['seq']) > Number(before.payload?.['seq']) && rankOf(message) >= rankOf(before)
          expect(isLater, `a step after ${show(before.payload)}`, message)
        }
      }
    }
  },
  {
    name: 'mission-one-ending',
    demands: 'A mission ends once, and no step of it is told after that.',
    async run (context) {
      for (const list of steps(await traffic(context)).values()) {
        const endAt = list.findIndex(isEnding)
        expect(endAt === -1 || endAt === list.length - 1, `nothing after ${show(list[endAt]?.payload)}`, list.at(-1))
      }
    }
  }
]
