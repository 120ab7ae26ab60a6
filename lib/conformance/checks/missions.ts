import type { Check } from '../check.js'
import { expect, show, Skip } from '../outcome.js'
import { isEnding } from '../context.js'
import { expectError, type Peer, type WireMessage } from '../peer.js'
import { subscribe } from '../subscribe.js'

const updatesIn = (peer: Peer, from = 0): WireMessage[] => peer.since(from).filter(({ type }) => type === 'mission_update')

const isOf = (missionId: string) => ({ type, payload }: WireMessage): boolean => type === 'mission_update' && payload?.['missionId'] === missionId

export const MISSION_CHECKS: readonly Check[] = [
  {
    name: 'start-ack',
    demands: '`mission_start` gets `mission_ack` with `missionId` and status `accepted`, strictly before the first update of the mission.',
    async run (context) {
      const command = await context.startCommand()
      const peer = await context.open()
      await subscribe(peer, 'mission_update')
      const ack = await peer.ask({ type: 'mission_start', command })
      const missionId = String(ack.payload?.['missionId'])
      expect(ack.type === 'mission_ack' && ack.payload?.['status'] === 'accepted' && !('action' in ack.payload), 'mission_ack with status accepted', ack)
      await context.ending(peer, missionId)
      const all = peer.since(0)
      const early = all.slice(0, all.indexOf(ack)).find(isOf(missionId))
      expect(early === undefined, 'the ack before any update of the mission', early)
    }
  },
  {
    name: 'start-again',
    demands: 'The same `mission_start` with the same `id` starts nothing new; another command with that `id` gets `id_reused`.',
    async run (context) {
      const command = await context.startCommand()
      const peer = await context.open()
      const start = async (command: string): Promise<WireMessage> => {
        const from = peer.mark
        peer.send({ type: 'mission_start', command, id: 'again' })
        return await peer.next('a reply to mission_start', ({ replyTo }) => replyTo === 'again', { from })
      }
      const [first, second] = [await start(command), await start(command)]
      expect(first.type === 'mission_ack' && show(first.payload) === show(second.payload), `the ack ${show(first.payload)} again`, second)
      expectError(await start(`${command} `), 'id_reused', 'another command with the same id')
    }
  },
  {
    name: 'mission-get',
    demands: '`mission_get` of a mission gets one `mission_update` with `snapshot: true` and `replyTo`, while it runs and after its end.',
    async run (context) {
      const peer = await context.open()
      await subscribe(peer, 'mission_update')
      const missionId = await context.startMission()
      const get = async (): Promise<WireMessage> => {
        const reply = await peer.ask({ type: 'mission_get', missionId })
        expect(isOf(missionId)(reply) && reply.payload?.['snapshot'] === true, 'a mission_update with snapshot: true', reply)
        return reply
      }
      await get()
      const ending = await context.ending(peer, missionId)
      const last = await get()
      expect(last.payload?.['status'] === ending.payload?.['status'], `status ${show(ending.payload?.['status'])}`, last)
    }
  },
  {
    name: 'mission-cancel',
    demands: '`mission_cancel` gets `mission_ack` with action `cancel`, and the mission ends.',
    async run (context) {
      const peer = await context.open()
      await subscribe(peer, 'mission_update')
      const missionId = await context.startMission()
      if (!await context.takes('mission_cancel')) throw new Skip('the server does not take mission_cancel')
      const ack = await peer.ask({ type: 'mission_cancel', missionId })
      const { payload } = ack
      const isAccepted = ack.type === 'mission_ack' && payload?.['missionId'] === missionId && payload['status'] === 'accepted' && payload['action'] === 'cancel'
      expect(isAccepted, 'mission_ack with action cancel', ack)
      await context.ending(peer, missionId)
    }
  },
  {
    name: 'filter-ids',
    demands: 'A `filter` of `missionIds` keeps all other missions away, and lets these through.',
    async run (context) {
      const [witness, stranger] = [await context.open(), await context.open()]
      await subscribe(witness, 'mission_update')
      await subscribe(stranger, 'mission_update', { filter: { missionIds: ['conformance-no-such-mission'] } })
      const missionId = await context.startMission()
      const friend = await context.open()
      await subscribe(friend, 'mission_update', { filter: { missionIds: [missionId] } })
      await context.ending(witness, await context.startMission())
      await context.ending(witness, missionId)
      await context.ending(friend, missionId)
      await stranger.fence()
      await friend.fence()
      expect(updatesIn(stranger).length === 0, 'no mission that does not fit the filter', updatesIn(stranger)[0])
      const other = updatesIn(friend).find((message) => !isOf(missionId)(message))
      expect(other === undefined, `only mission ${missionId}`, other)
    }
  },
  {
    name: 'filter-statuses',
    demands: 'A `filter` of `statuses` lets through what has, or has just left, one of them.',
    async run (context) {
      const [witness, peer] = [await context.open(), await context.open()]
      await subscribe(witness, 'mission_update')
      await subscribe(peer, 'mission_update', { filter: { statuses: ['completed', 'cancelled', 'error'] } })
      const missionId = await context.startMission()
      await context.ending(witness, missionId)
      await context.ending(peer, missionId)
      const other = updatesIn(peer).find((message) => !isEnding(message))
      expect(other === undefined, 'only endings', other)
    }
  }
]
