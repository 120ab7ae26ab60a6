import type { SharedLogPosition } from '../../contract.js'
import type { StandCheck } from '../check.js'
import { demand, demandEqual } from '../demand.js'
import { positionAfter, type Participant } from '../stand.js'
import { messageOf, runOf, startOf, stepOf } from '../steps.js'

/** Longer than a check may take, so that a read that does not wake up is noticed. */
const LONG_MS = 600_000

async function demandDiverged (member: Participant, position: SharedLogPosition, what: string): Promise<void> {
  demandEqual(await member.read(position), { outcome: 'diverged' }, `the result of read after ${what}`)
}

export const READING_CHECKS: readonly StandCheck[] = [
  {
    title: 'A process can read on after each batch',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      const { position } = member
      for (let at = 0; at < 5; at++) await member.apply(startOf(`a${at}`), startOf(`b${at}`))
      const all = await member.readOn()
      demandEqual(all.length, 5, 'the number of batches')
      for (const [at, after] of [position, ...all.map(positionAfter)].entries()) {
        other.position = after
        demandEqual(await other.readOn(), all.slice(at), `the batches after the first ${at}`)
      }
    }
  },
  {
    title: 'A read that waits returns what another process appends',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      for (let round = 0; round < 3; round++) {
        const reading = other.readOn(LONG_MS)
        await member.apply(startOf(`a${round}`))
        demandEqual((await reading).map(({ number }) => number), [round + 1], 'the numbers of the batches')
      }
    }
  },
  {
    title: 'A read that waits returns an empty list when nothing was appended in time',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(startOf('a'))
      await member.readOn()
      const reading = member.read(member.position, 20)
      await stand.pass(25)
      demandEqual(await reading, { outcome: 'batches', batches: [] }, 'the result')
      demandEqual(await member.read(), { outcome: 'batches', batches: [] }, 'the result without waiting')
    }
  },
  {
    title: 'A read after a position that the log does not contain has diverged',
    run: async (stand) => {
      const member = await stand.open()
      for (let at = 0; at < 3; at++) await member.apply(startOf(`a${at}`), startOf(`b${at}`))
      const [first, second, last] = (await member.readOn()).map(positionAfter)
      demand(last !== undefined, 'not all batches were read')
      await demandDiverged(member, { ...last, sequence: last.sequence + 1 }, 'a position beyond the last one')
      await demandDiverged(member, { ...last, token: first!.token }, 'the last sequence with another token')
      await demandDiverged(member, { ...second!, token: first!.token }, 'an earlier sequence with another token')
      await demandDiverged(member, { ...first!, sequence: first!.sequence + 1 }, 'a position within a batch')
      await demandDiverged(member, { ...second!, sequence: second!.sequence + 1 }, 'a position within the last batch')
      await demandDiverged(member, { ...last, epoch: `${last.epoch}x` }, 'a position of another epoch')
      const renewed = await member.call('renew', member.log.renew({ ...last, token: first!.token }))
      demandEqual(renewed, { outcome: 'diverged' }, 'the result of renew with such a position')
      demandEqual(await member.readOn(), [], 'the batches after the last position')
    }
  },
  {
    title: 'Another epoch makes every position diverge, and clears the history',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(runOf('a'), messageOf('health_delta', 'h'))
      const before = (await member.join()).position
      await member.call('restart', member.log.restart(before.epoch))
      await demandDiverged(other, before, 'the last position of the epoch before')
      demandEqual(await other.call('renew', other.log.renew(before)), { outcome: 'diverged' }, 'the result of renew')
      const { position } = await other.join()
      demand(position.epoch !== before.epoch, 'the epoch is the same')
      demandEqual(position.sequence, 2, 'the last sequence')
      demandEqual(await other.call('history', other.log.history()), [], 'the history')
      demandEqual(await other.readOn(), [], 'the batches after the position')
    }
  },
  {
    title: 'States, counts, sequences, offsets and leases go on in another epoch',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(runOf('a', { tenant: 'x' }), messageOf('health_delta', 'h'))
      const { counts, heads, position, secret } = await member.join()
      await member.call('restart', member.log.restart(position.epoch))
      const joined = await other.join()
      demandEqual([joined.counts, joined.heads, joined.secret], [counts, heads, secret], 'counts, heads and secret')
      demandEqual(await member.append(runOf('a'), stepOf('a', 'completed')), ['repeated', 'applied'], 'the verdicts')
      const [batch] = await other.readOn()
      demandEqual([batch?.epoch, batch?.after], [joined.position.epoch, 2], 'the epoch and what precedes')
      demandEqual(batch!.entries.map((one) => [one.sequence, one.offset, one.tenantOffset]), [[3, 2, 2]], 'the entries')
      demandEqual((await other.call('history', other.log.history())).length, 1, 'the length of the history')
    }
  },
  {
    title: 'Processes that ask for another epoch at the same time get one',
    run: async (stand) => {
      const members = [await stand.open(), await stand.open(), await stand.open()]
      const { epoch } = members[0]!.position
      await Promise.all(members.map(async (one) => await one.call('restart', one.log.restart(epoch))))
      await members[0]!.join()
      await members[0]!.apply(startOf('a'))
      await members[1]!.call('restart', members[1]!.log.restart(epoch))
      demandEqual((await members[0]!.entries()).length, 1, 'the number of entries in the epoch')
    }
  },
  {
    title: 'Closing the log of a process ends its read that waits, and leaves the others alone',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      const reading = member.log.read(member.position, LONG_MS).catch(() => {})
      await member.call('close', member.log.close())
      await member.call('read while the log was closed', reading)
      await other.apply(startOf('a'))
      demandEqual((await other.entries()).length, 1, 'the number of entries')
    }
  }
]

/** Demands that a position is trimmed at the latest when so many batches were appended after it. */
export function createTrimCheck (batches: number): StandCheck {
  return {
    title: 'A read after a position whose next batch is no longer kept is trimmed',
    run: async (stand) => {
      const member = await stand.open()
      const { position } = member
      await member.apply(runOf('a'))
      const [first] = await member.readOn()
      const progress = stepOf('a', 'execution_progress', { isReliable: false })
      for (let at = 0; at <= batches; at++) await member.apply(progress)
      demandEqual(await member.read(position), { outcome: 'trimmed' }, 'the result of read after the first position')
      const early = await member.read(positionAfter(first!))
      demandEqual(early, { outcome: 'trimmed' }, 'the result of read after the first batch')
      demandEqual((await member.renew()).outcome, 'renewed', 'the result of renew with this position')
      await member.join()
      await member.apply(stepOf('a', 'completed'))
      demandEqual((await member.entries()).length, 1, 'the number of entries after the last position')
      demandEqual((await member.states()).get('a')?.seq, batches + 3, 'the number of updates')
    }
  }
}
