import type { Check } from '../check.js'
import { isTerminalUpdate } from '../context.js'
import { expect, show, Skip } from '../outcome.js'
import { expectError, type Peer, type WireMessage } from '../peer.js'
import { subscribe } from '../subscribe.js'

const updatesIn = (peer: Peer): WireMessage[] => peer.since(0).filter(({ type }) => type === 'mission_update')

const isUpdateOf = (missionId: string) => ({ type, payload }: WireMessage): boolean =>
  type === 'mission_update' && payload?.['missionId'] === missionId

export const MISSION_CHECKS: readonly Check[] = [
  {
    name: 'start-ack',
    demands: '`mission_start` is answered with `mission_ack` with `missionId` and status `accepted`, before the ' +
      'first update of the mission.',
    async run (context) {
      const command = await context.startCommand()
      const peer = await context.open()
      await subscribe(peer, 'mission_update')
      const ack = await context.start(peer, command)
      const missionId = String(ack.payload?.['missionId'])
      const isAccepted = ack.type === 'mission_ack' && ack.payload?.['status'] === 'accepted'
      expect(isAccepted && !('action' in ack.payload!), 'mission_ack with status accepted', ack)
      await context.ending(peer, missionId)
      const all = peer.since(0)
      const early = all.slice(0, all.indexOf(ack)).find(isUpdateOf(missionId))
      expect(early === undefined, 'the ack before any update of the mission', early)
    }
  },
  {
    name: 'start-again',
    demands: 'Repeating a `mission_start` with its `id` starts no second mission; a different command with that `id` ' +
      'is answered with `id_reused`.',
    async run (context) {
      const command = await context.startCommand()
      const peer = await context.open()
      const id = peer.makeId('again')
      const start = async (command: string) => await context.start(peer, command, id)
      const [first, second] = [await start(command), await start(command)]
      const isRepeated = first.type === 'mission_ack' && show(first.payload) === show(second.payload)
      expect(isRepeated, `the ack ${show(first.payload)} again`, second)
      expectError(await start(`${command} `), 'id_reused', 'a different command with the same id')
    }
  },
  {
    name: 'mission-get',
    demands: '`mission_get` is answered with one `mission_update` with `snapshot: true` and `replyTo`, while the ' +
      'mission runs and after it has ended.',
    async run (context) {
      const peer = await context.open()
      await subscribe(peer, 'mission_update')
      const missionId = await context.startMission()
      const get = async (): Promise<WireMessage> => {
        const reply = await peer.ask({ type: 'mission_get', missionId })
        const isSnapshot = isUpdateOf(missionId)(reply) && reply.payload?.['snapshot'] === true
        expect(isSnapshot, 'a mission_update with snapshot: true', reply)
        return reply
      }
      await get()
      const ending = await context.ending(peer, missionId)
      const last = await get()
      const status = ending.payload?.['status']
      expect(last.payload?.['status'] === status, `status ${show(status)}`, last)
    }
  },
  {
    name: 'mission-cancel',
    demands: '`mission_cancel` is answered with `mission_ack` with action `cancel`, and the mission ends.',
    async run (context) {
      const peer = await context.open()
      await subscribe(peer, 'mission_update')
      const missionId = await context.startMission()
      if (!await context.supports('mission_cancel')) throw new Skip('the server does not support mission_cancel')
      const ack = await peer.ask({ type: 'mission_cancel', missionId })
      const { type, payload } = ack
      const isAccepted = payload?.['missionId'] === missionId && payload['status'] === 'accepted'
      const isCancel = type === 'mission_ack' && isAccepted && payload['action'] === 'cancel'
      expect(isCancel, 'mission_ack with action cancel', ack)
      await context.ending(peer, missionId)
    }
  },
  {
    name: 'filter-ids',
    demands: 'A `filter` with `missionIds` passes the updates of these missions and of no others.',
    async run (context) {
      const [observer, control, matched] = [await context.open(), await context.open(), await context.open()]
      await subscribe(observer, 'mission_update')
      // No update may reach the control client.
      await subscribe(control, 'mission_update', { filter: { missionIds: ['conformance-no-such-mission'] } })
      const missionId = await context.startMission()
      await subscribe(matched, 'mission_update', { filter: { missionIds: [missionId] } })
      await context.ending(observer, await context.startMission())
      for (const peer of [observer, matched]) await context.ending(peer, missionId)
      for (const peer of [control, matched]) await peer.barrier()
      const [leaked] = updatesIn(control)
      expect(leaked === undefined, 'no mission that the filter excludes', leaked)
      const other = updatesIn(matched).find((message) => !isUpdateOf(missionId)(message))
      expect(other === undefined, `only mission ${missionId}`, other)
    }
  },
  {
    name: 'filter-statuses',
    demands: 'A `filter` with `statuses` passes updates of missions that have, or have just left, one of them.',
    async run (context) {
      const [observer, peer] = [await context.open(), await context.open()]
      await subscribe(observer, 'mission_update')
      await subscribe(peer, 'mission_update', { filter: { statuses: ['completed', 'cancelled', 'error'] } })
      const missionId = await context.startMission()
      await context.ending(observer, missionId)
      await context.ending(peer, missionId)
      const other = updatesIn(peer).find((message) => !isTerminalUpdate(message))
      expect(other === undefined, 'only updates with a terminal status', other)
    }
  }
]
