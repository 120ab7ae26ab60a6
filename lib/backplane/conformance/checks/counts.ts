import type { StandCheck } from '../check.js'
import { demandEqual } from '../demand.js'
import type { Participant } from '../stand.js'
import { lossOf, runOf, startOf, stepOf } from '../steps.js'

/** Active, completed, cancelled, errors and the sum of durations. */
type Figures = readonly [number, number, number, number, number]

const NONE: Figures = [0, 0, 0, 0, 0]

async function demandCounts (member: Participant, expected: Figures, tenant: string | null = null): Promise<void> {
  const counts = (await member.join()).counts.find((one) => one.tenant === tenant)
  const { active, completed, cancelled, errors, durationSumMs } = counts ?? {}
  const found = counts === undefined ? NONE : [active, completed, cancelled, errors, durationSumMs]
  const whose = tenant === null ? 'all missions' : `the tenant ${tenant}`
  demandEqual(found, expected, `active, completed, cancelled, errors and durations of ${whose}`)
}

export const COUNT_CHECKS: readonly StandCheck[] = [
  {
    title: 'On join, the counts are those of all missions, and of each tenant',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await demandCounts(member, NONE)
      const [x, y] = [{ tenant: 'x' }, { tenant: 'y' }]
      await member.apply(runOf('a'), runOf('b', x), runOf('c', x), runOf('d', y))
      await other.apply(
        stepOf('a', 'completed', { durationMs: 5 }), stepOf('b', 'error', { ...x, durationMs: 0.5 }),
        stepOf('d', 'cancelled', { ...y, durationMs: 2 }))
      await demandCounts(await stand.open(), [1, 1, 1, 1, 7.5])
      await demandCounts(member, [1, 0, 0, 1, 0.5], 'x')
      await demandCounts(member, [0, 0, 1, 0, 2], 'y')
      await demandCounts(member, NONE, 'z')
    }
  },
  {
    title: 'A mission that is first seen when it ends is counted as ended',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(stepOf('a', 'completed', { tenant: 'x', durationMs: 3 }))
      await demandCounts(member, [0, 1, 0, 0, 3])
      await demandCounts(member, [0, 1, 0, 0, 3], 'x')
    }
  },
  {
    title: 'An attempt that takes the place of an active one counts that as cancelled with the duration 0',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(runOf('a', { tenant: 'x' }), runOf('b'), stepOf('b', 'error', { durationMs: 1 }))
      await member.apply(runOf('a', { tenant: 'x', attempt: 2 }), runOf('b', { attempt: 2 }))
      await demandCounts(member, [2, 0, 1, 1, 1])
      await demandCounts(member, [1, 0, 1, 0, 0], 'x')
    }
  },
  {
    title: 'Refused steps, steps within an attempt and forgotten missions do not change the counts; a loss is an error',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(runOf('a'), stepOf('a', 'completed', { durationMs: 4 }), runOf('b'))
      await member.append(stepOf('a', 'error', { durationMs: 9 }), runOf('b'), stepOf('b', 'execution_progress'))
      await member.call('remove', member.log.remove([{ id: 'a', sequence: 1_000 }]))
      await demandCounts(member, [1, 1, 0, 0, 4])
      await member.call('leave', member.log.leave())
      await other.apply(lossOf('b', member.id, { durationMs: 6 }))
      await demandCounts(other, [0, 1, 0, 1, 10])
    }
  },
  {
    title: 'Entries tell which attempts begin and which take the place of an active one, so that readers can count too',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(startOf('a'), runOf('a'), stepOf('a', 'error'), stepOf('b', 'completed'))
      await member.apply(runOf('a', { attempt: 2 }), runOf('a', { attempt: 3 }))
      const entries = await member.entries()
      const found = entries.map((entry) => entry.kind === 'mission' && [entry.isNew, entry.isReplacing])
      const expected = [[true, false], [false, false], [false, false], [true, false], [true, false], [true, true]]
      demandEqual(found, expected, 'isNew and isReplacing of the entries')
    }
  }
]
