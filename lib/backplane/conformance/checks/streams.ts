import type { LogEntry, StoredHead } from '../../contract.js'
import type { StandCheck } from '../check.js'
import { demand, demandEqual } from '../demand.js'
import type { Participant } from '../stand.js'
import { messageOf, startOf, stepOf } from '../steps.js'

const offsetsOf = (entries: readonly LogEntry[]) => entries.map(({ offset, tenantOffset }) => [offset, tenantOffset])

async function headsOf (member: Participant): Promise<unknown[]> {
  const { heads } = await member.join()
  return heads.map((head: StoredHead) => [head.channel, head.tenant, head.offset, head.messageId].join(' ')).sort()
}

async function historyOf (member: Participant): Promise<LogEntry[]> {
  return (await member.call('history', member.log.history())).flatMap(({ entries }) => entries)
}

const MIXED = [
  startOf('a'), startOf('b', { tenant: 'x' }), stepOf('b', 'execution_progress', { tenant: 'x', isReliable: false }),
  messageOf('health_delta', 'h1'), messageOf('health_delta', 'h2', { tenant: 'x' }), startOf('c', { tenant: 'y' }),
  messageOf('metrics_tick', 't', { isReliable: false }), stepOf('b', 'completed', { tenant: 'x' })
]

const MIXED_OFFSETS = [[1, 0], [2, 1], [0, 0], [1, 0], [2, 1], [3, 1], [0, 0], [4, 2]]

export const STREAM_CHECKS: readonly StandCheck[] = [
  {
    title: 'Reliable entries are counted for each channel, and for each tenant in it; others have the offset 0',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(...MIXED)
      demandEqual(offsetsOf(await member.entries()), MIXED_OFFSETS, 'the offsets')
    }
  },
  {
    title: 'Refused steps, and reliable ones that clients are not told, take no offset',
    run: async (stand) => {
      const member = await stand.open()
      const quiet = [stepOf('a', 'execution_progress', { update: '' }), messageOf('mission_update', '', { update: '' })]
      await member.append(startOf('a'), startOf('a'), ...quiet, stepOf('a', 'completed'))
      demandEqual(offsetsOf(await member.entries()), [[1, 0], [0, 0], [0, 0], [2, 0]], 'the offsets')
      demandEqual(await headsOf(member), ['mission_update  2 a completed'], 'the heads')
    }
  },
  {
    title: 'On join, the heads are the last offset and message of each channel and tenant',
    run: async (stand) => {
      const member = await stand.open()
      demandEqual(await headsOf(member), [], 'the heads of an empty log')
      await member.apply(...MIXED)
      const expected = [
        'health_delta  2 h2', 'health_delta x 1 h2', 'mission_update  4 b completed', 'mission_update x 2 b completed',
        'mission_update y 1 c execution_started'
      ]
      demandEqual(await headsOf(await stand.open()), expected, 'the heads')
    }
  },
  {
    title: 'A mission has the offsets of its last reliable entry, and 0 if there is none',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(...MIXED, startOf('d', { isReliable: false }))
      const progress = { tenant: 'y', isReliable: false }
      await member.apply(stepOf('c', 'execution_progress', progress))
      const states = await member.states()
      const found = ['a', 'b', 'c', 'd'].map((id) => [states.get(id)?.offset, states.get(id)?.tenantOffset])
      demandEqual(found, [[1, 0], [4, 2], [3, 1], [0, 0]], 'the offsets of the missions')
    }
  },
  {
    title: 'The history contains the reliable entries, oldest first, in their batches and without states',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      demandEqual(await historyOf(member), [], 'the history of an empty log')
      await member.apply(...MIXED)
      await other.apply(messageOf('health_delta', 'h3', { tenant: 'y' }))
      const reliable = (await member.readOn()).map((batch) => ({
        ...batch,
        entries: batch.entries.filter(({ offset }) => offset > 0)
          .map((entry) => entry.kind === 'mission' ? { ...entry, state: '' } : entry)
      }))
      demandEqual(await other.call('history', other.log.history()), reliable, 'the history')
    }
  },
  {
    title: 'The history has a bound, and keeps the newest entries',
    run: async (stand) => {
      const member = await stand.open()
      const BATCHES = 30
      for (let at = 1; at <= BATCHES; at++) {
        const messages = Array.from({ length: 1_000 }, (_, index) => messageOf('health_delta', `${at} ${index}`))
        await member.apply(...messages)
      }
      const kept = await historyOf(member)
      demand(kept.length < BATCHES * 1_000, `all of ${BATCHES * 1_000} entries are kept`)
      demand(kept.length >= 100, `only ${kept.length} entries are kept`)
      const expected = Array.from(kept, (_, at) => BATCHES * 1_000 - kept.length + 1 + at)
      demandEqual(kept.map(({ offset }) => offset), expected, 'the offsets in the history')
    }
  }
]
