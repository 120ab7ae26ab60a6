import type { LogEntry, MissionEntry, StoredMission } from '../../contract.js'
import type { StandCheck } from '../check.js'
import { demand, demandEqual } from '../demand.js'
import type { Participant } from '../stand.js'
import { runOf, startOf, stepOf } from '../steps.js'

const MANY = 1_300

/** After how many pages others change. After every page, reading might never end: each change may make another page. */
const CHANGES = 20

const idsOf = (count: number): string[] => Array.from({ length: count }, (_, at) => `m${at}`)

/** Reads the states, and appends steps after pages. */
async function readWhile (member: Participant, change: () => Promise<void>): Promise<StoredMission[]> {
  const found: StoredMission[] = []
  let changes = 0
  for await (const page of member.log.states()) {
    found.push(...page)
    if (changes++ < CHANGES) await change()
  }
  return found
}

/** The picture of a process that has read the states, and after that the entries since it joined. */
function pictureOf (states: readonly StoredMission[], entries: readonly LogEntry[]): string[] {
  const picture = new Map<string, Pick<MissionEntry, 'sequence' | 'status' | 'seq'>>()
  const changes = entries.filter((entry): entry is MissionEntry => entry.kind === 'mission')
  for (const one of [...states, ...changes]) {
    if ((picture.get(one.id)?.sequence ?? 0) <= one.sequence) picture.set(one.id, one)
  }
  return Array.from(picture, ([id, { sequence, status, seq }]) => `${id} ${sequence} ${status} ${seq}`).sort()
}

export const STATE_CHECKS: readonly StandCheck[] = [
  {
    title: 'A stored mission is what its entries say, with the state of its last step that had one',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      const first = runOf('a', { tenant: 'x' })
      await member.apply(startOf('b'), first, stepOf('a', 'execution_progress', { tenant: 'x', state: '' }))
      const header = { id: 'a', tenant: 'x', attempt: 1, status: 'execution_progress', seq: 2 }
      const owned = { owner: member.id, isRun: true, startedAt: 2, sequence: 3, offset: 3, tenantOffset: 2 }
      const expected = { ...header, ...owned, state: first.state }
      demandEqual((await other.states()).get('a'), expected, 'the stored mission')
      const entry = (await other.entries()).at(-1)
      const { owner, isRun, seq, startedAt, status } = entry as MissionEntry
      demandEqual({ ...expected, owner, isRun, seq, startedAt, status }, expected, 'the last entry of the mission')
    }
  },
  {
    title: 'The updates of a mission are counted over all attempts, without steps that clients are not told',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(runOf('a'), stepOf('a', 'execution_progress', { update: '' }), stepOf('a', 'error'))
      await member.append(stepOf('a', 'completed'))
      await member.apply(runOf('a', { attempt: 2 }), stepOf('a', 'completed', { attempt: 2, isReliable: false }))
      const entries = (await member.entries()).map((entry) => entry.kind === 'mission' && [entry.seq, entry.startedAt])
      demandEqual(entries, [[1, 1], [1, 1], [2, 1], [3, 4], [4, 4]], 'the numbers and starts in the entries')
      const { seq, startedAt } = (await member.states()).get('a')!
      demandEqual([seq, startedAt], [4, 4], 'the number and the start in the state')
    }
  },
  {
    title: 'All missions are returned, however many there are, although others change meanwhile',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      const ids = idsOf(MANY)
      await member.apply(...ids.map((id) => startOf(id)))
      let round = 0
      const change = async (): Promise<void> => {
        const some = ids.filter((_, at) => at % 5 === round % 5)
        await other.apply(startOf(`later ${round++}`), ...some.map((id) => stepOf(id, 'execution_progress')))
      }
      const found = await readWhile(member, change)
      const missing = ids.filter((id) => !found.some((one) => one.id === id))
      demandEqual(missing, [], 'the missions that are missing')
      const broken = found.filter(({ id, status, seq, state }) =>
        state !== stepOf(id, status).state || (status === 'execution_started') !== (seq === 1))
      demandEqual(broken, [], 'the missions that mix two states')
    }
  },
  {
    title: 'A process that joins, reads the states and then the entries has the same picture as the others',
    run: async (stand) => {
      const [member, late] = [await stand.open(), stand.connect()]
      await member.apply(...idsOf(MANY).map((id) => startOf(id)))
      await late.join()
      let round = 0
      const states = await readWhile(late, async () => {
        const id = `m${round++}`
        await member.apply(stepOf(id, 'completed'), startOf(`later ${id}`))
      })
      const entries = await late.entries()
      const picture = pictureOf(states, entries)
      demandEqual(picture, pictureOf([...(await member.states()).values()], []), 'the picture')
      demandEqual(picture, pictureOf([], await member.entries()), 'the picture')
    }
  },
  {
    title: 'Ended missions can be removed; active ones, and those that have changed since, are kept',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(runOf('active'), runOf('ended'), runOf('changed'))
      await member.apply(stepOf('ended', 'completed'), stepOf('changed', 'error'))
      const asOf = (await member.join()).position.sequence
      await other.apply(runOf('changed', { attempt: 2 }), stepOf('changed', 'completed', { attempt: 2 }))
      const all = ['active', 'ended', 'changed', 'unknown'].map((id) => ({ id, sequence: asOf }))
      await member.call('remove', member.log.remove(all))
      demandEqual([...(await other.states()).keys()].sort(), ['active', 'changed'], 'the missions that are left')
      demand((await other.append(stepOf('ended', 'error')))[0] === 'applied', 'a removed mission is still known')
      await member.call('remove', member.log.remove([]))
    }
  }
]
