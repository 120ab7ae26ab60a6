import { CHANNEL_NAMES } from '../../../schemas/channels/index.js'
import { PROTOCOL_VERSION } from '../../../schemas/messages/envelope.js'
import { SERVER_MESSAGES } from '../../../schemas/messages/server-messages.js'
import { MISSION_STATUSES } from '../../../schemas/mission.js'
import { compile } from '../../base/validation.js'
import type { Check } from '../check.js'
import { isTerminalUpdate, type CheckContext } from '../context.js'
import { expect, show, Skip } from '../outcome.js'
import type { Peer, ReceivedFrame, WireMessage } from '../peer.js'
import { isAck, type WireCursor } from '../subscribe.js'
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

/** Subscribes three times over one connection, the last time with the cursor of the first time. */
async function subscribeAgain (context: CheckContext): Promise<void> {
  const peer = await context.open()
  const channels = ['mission_update', 'health_delta'] as const
  const subscribe = { type: 'subscribe', channels, endings: 1 }
  const unsubscribe = { type: 'unsubscribe', channels }
  const answers = await peer.answersTo(subscribe, unsubscribe, subscribe)
  const asOf = answers.find((message) => isAck(message, channels[0], 'subscribed'))?.payload?.['asOf']
  // The server has no positions, or this client may not subscribe.
  if (asOf === undefined) return
  const mission = await context.tryStartMission()
  if (mission !== undefined) await context.ending(peer, mission)
  const { epoch, offset, id } = asOf as WireCursor
  await peer.answersTo(unsubscribe, { ...subscribe, since: { [channels[0]]: { epoch, offset, id } } })
}

function expectNewIds (peer: Peer): void {
  const texts = new Map<unknown, string>()
  const counts = new Map<unknown, number>()
  for (const { message, text } of peer.received) {
    const id = message?.id
    const count = counts.get(id) ?? 0
    const isReplay = texts.get(id) === text && count <= countReplays(peer, message!)
    expect(typeof id === 'string' && (count === 0 || isReplay), 'a new id', text)
    texts.set(id, text)
    counts.set(id, count + 1)
  }
}

/** How often the client has asked for messages up to this one. */
function countReplays ({ sent }: Peer, { type, position }: WireMessage): number {
  const offset = (position as { offset?: unknown } | undefined)?.offset
  const requests = sent as Array<{ since?: Record<string, WireCursor> }>
  const cursors = requests.flatMap(({ since }) => since?.[String(type)] ?? [])
  return cursors.filter((cursor) => cursor.offset < Number(offset)).length
}

const frames = (peers: readonly Peer[]): ReceivedFrame[] => peers.flatMap(({ received }) => received)
const messages = (peers: readonly Peer[]): WireMessage[] => peers.flatMap((peer) => peer.since(0))

/** The updates of each mission on each connection, without snapshots and without what was replayed. */
function updatesByMission (peers: readonly Peer[]): Map<string, WireMessage[]> {
  const all = new Map<string, WireMessage[]>()
  for (const [index, peer] of peers.entries()) {
    const ids = new Set<unknown>()
    for (const message of peer.since(0)) {
      const isKnown = ids.has(message.id)
      ids.add(message.id)
      if (isKnown || message.type !== 'mission_update' || message.payload?.['snapshot'] === true) continue
      const key = `${index} ${String(message.payload?.['missionId'])}`
      all.set(key, [...all.get(key) ?? [], message])
    }
  }
  if (all.size === 0) throw new Skip('no update of a mission was received; --start COMMAND starts missions')
  return all
}

const attemptOf = ({ payload }: WireMessage): number => Number(payload?.['attempt'] ?? 1)

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
    demands: 'No connection receives an `id` twice, also not in a second snapshot. Only a message that is replayed ' +
      'after a cursor may come again, unchanged.',
    async run (context) {
      await subscribeAgain(context)
      for (const peer of await transcript(context)) expectNewIds(peer)
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
    demands: '`seq` of a mission increases from message to message, and within an attempt its status never moves ' +
      'backwards.',
    async run (context) {
      for (const updates of updatesByMission(await transcript(context)).values()) {
        for (const [at, message] of updates.slice(1).entries()) {
          const before = updates[at]!
          const isNewer = Number(message.payload?.['seq']) > Number(before.payload?.['seq'])
          const isForward = attemptOf(message) > attemptOf(before) || rankOf(message) >= rankOf(before)
          expect(isNewer && isForward, `an update that follows ${show(before.payload)}`, message)
        }
      }
    }
  },
  {
    name: 'mission-one-ending',
    demands: 'An attempt of a mission ends once, and no update of it follows.',
    async run (context) {
      for (const updates of updatesByMission(await transcript(context)).values()) {
        for (const [at, message] of updates.slice(1).entries()) {
          const before = updates[at]!
          const mayFollow = !isTerminalUpdate(before) || attemptOf(message) > attemptOf(before)
          expect(mayFollow, `no update of the attempt after ${show(before.payload)}`, message)
        }
      }
    }
  }
]
