import { CHANNEL_NAMES } from '../../../schemas/channels/index.js'
import { PROTOCOL_VERSION } from '../../../schemas/messages/envelope.js'
import { SERVER_MESSAGES } from '../../../schemas/messages/server-messages.js'
import { MISSION_STATUSES } from '../../../schemas/mission.js'
import { compile } from '../../base/validation.js'
import type { Check } from '../check.js'
import { isTerminalUpdate, type CheckContext } from '../context.js'
import { expect, show, Skip } from '../outcome.js'
import type { Peer, ReceivedFrame, WireMessage } from '../peer.js'
import { expectContiguous } from './positions.js'

const VALIDATORS = new Map<unknown, (message: unknown) => boolean>(
  Object.entries(SERVER_MESSAGES).map(([type, schema]) => [type, compile(schema)])
)

/** Adds some messages of each kind to the transcript of the run and returns all its connections. */
async function transcript (context: CheckContext): Promise<readonly Peer[]> {
  const peer = await context.open()
  await peer.answersTo({ type: 'subscribe', channels: CHANNEL_NAMES }, { type: 'whoami' }, 'not JSON')
  const mission = await context.tryStartMission()
  if (mission !== undefined) await context.ending(peer, mission)
  await peer.barrier()
  return context.peers
}

const frames = (peers: readonly Peer[]): ReceivedFrame[] => peers.flatMap(({ received }) => received)
const messages = (peers: readonly Peer[]): WireMessage[] => peers.flatMap((peer) => peer.since(0))

/** The updates of each mission on each connection, without snapshots. */
function updatesByMission (peers: readonly Peer[]): Map<string, WireMessage[]> {
  const all = new Map<string, WireMessage[]>()
  for (const [index, peer] of peers.entries()) {
    for (const message of peer.since(0)) {
      if (message.type !== 'mission_update' || message.payload?.['snapshot'] === true) continue
      const key = `${index} ${String(message.payload?.['missionId'])}`
      all.set(key, [...all.get(key) ?? [], message])
    }
  }
  if (all.size === 0) throw new Skip('no update of a mission was received; --start COMMAND starts missions')
  return all
}

function rankOf (message: WireMessage): number {
  if (isTerminalUpdate(message)) return MISSION_STATUSES.length
  return MISSION_STATUSES.indexOf(message.payload?.['status'] as never)
}

export const TRANSCRIPT_CHECKS: readonly Check[] = [
  {
    name: 'envelope-schema',
    demands: 'Every frame is a text frame with one JSON object that matches the schema of its `type`.',
    async run (context) {
      for (const { message, text, isBinary } of frames(await transcript(context))) {
        expect(!isBinary && message !== undefined, 'a text frame with a JSON object', text)
        // A newer server may have message types that this version does not know.
        const validate = VALIDATORS.get(message!.type) ?? (() => true)
        expect(validate(message), `a valid ${show(message!.type)}`, message)
      }
    }
  },
  {
    name: 'envelope-version',
    demands: '`protocolVersion` is the number 1 in every message.',
    async run (context) {
      for (const message of messages(await transcript(context))) {
        expect(message.protocolVersion === PROTOCOL_VERSION, `protocolVersion ${PROTOCOL_VERSION}`, message)
      }
    }
  },
  {
    name: 'envelope-time',
    demands: '`timestamp` is ISO 8601 in UTC with milliseconds and denotes the same time as `unix`.',
    async run (context) {
      for (const message of messages(await transcript(context))) {
        const { unix, timestamp } = message
        const isDate = Number.isSafeInteger(unix) && Math.abs(unix as number) <= 8.64e15
        const isSame = isDate && new Date(unix as number).toISOString() === timestamp
        expect(isSame, 'timestamp and unix of the same time', { unix, timestamp })
      }
    }
  },
  {
    name: 'envelope-ids',
    demands: 'An `id` identifies one message: no other message on the same connection has it.',
    async run (context) {
      for (const peer of await transcript(context)) {
        const texts = new Map<unknown, string>()
        for (const { message, text } of peer.received) {
          const known = texts.get(message?.id)
          // A client that subscribes again may receive the same snapshot message again.
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
      const all = messages(await transcript(context))
      const first = show(all[0]!.server)
      for (const message of all) expect(show(message.server) === first, `server ${first}`, message)
    }
  },
  {
    name: 'positions-contiguous',
    demands: 'Positions of a channel increase by one within an epoch, starting after `asOf`.',
    async run (context) {
      const total = (await transcript(context)).map(expectContiguous).reduce((sum, count) => sum + count, 0)
      if (total === 0) throw new Skip('no message with a position was received; --start COMMAND starts missions')
    }
  },
  {
    name: 'mission-order',
    demands: '`seq` of a mission increases from message to message, and its status never moves backwards.',
    async run (context) {
      for (const updates of updatesByMission(await transcript(context)).values()) {
        for (const [at, message] of updates.slice(1).entries()) {
          const before = updates[at]!
          const isNewer = Number(message.payload?.['seq']) > Number(before.payload?.['seq'])
          const isForward = rankOf(message) >= rankOf(before)
          expect(isNewer && isForward, `an update that follows ${show(before.payload)}`, message)
        }
      }
    }
  },
  {
    name: 'mission-one-ending',
    demands: 'A mission ends once, and no update of it follows.',
    async run (context) {
      for (const updates of updatesByMission(await transcript(context)).values()) {
        const endAt = updates.findIndex(isTerminalUpdate)
        const isLast = endAt === -1 || endAt === updates.length - 1
        expect(isLast, `no update after ${show(updates[endAt]?.payload)}`, updates.at(-1))
      }
    }
  }
]
