import type { StandCheck } from '../check.js'
import { demand, demandEqual } from '../demand.js'
import { messageOf, runOf, startOf, stepOf } from '../steps.js'

export const IDEMPOTENCE_CHECKS: readonly StandCheck[] = [
  {
    title: 'A batch that is sent again with its number is appended once, and gets the same verdicts',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await other.apply(startOf('b'))
      const steps = [runOf('a'), startOf('b'), messageOf('health_delta', 'h'), stepOf('a', 'completed')]
      const verdicts = await member.append(...steps)
      demandEqual(verdicts, ['applied', 'repeated', 'applied', 'applied'], 'the verdicts')
      await other.apply(stepOf('b', 'completed'))
      for (let times = 0; times < 2; times++) {
        demandEqual(await member.appendAgain(...steps), verdicts, 'the verdicts about the same batch')
      }
      demandEqual((await other.entries()).length, 5, 'the number of entries')
    }
  },
  {
    title: 'A batch without a step that was applied gets the same verdicts when it is sent again',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await other.apply(runOf('a'))
      demandEqual(await member.append(stepOf('a', 'planned')), ['backward'], 'the verdicts')
      await other.apply(stepOf('a', 'completed'))
      demandEqual(await member.appendAgain(stepOf('a', 'planned')), ['backward'], 'the verdicts about the same batch')
    }
  },
  {
    title: 'Two copies of a batch at the same time are appended once',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      const batch = { number: 1, steps: [runOf('a'), messageOf('health_delta', 'h')] }
      const copies = await Promise.all([1, 2].map(async () => await member.call('append', member.log.append(batch))))
      const expected = { outcome: 'appended', verdicts: ['applied', 'applied'] }
      demandEqual(copies, [expected, expected], 'the results')
      demandEqual((await other.entries()).length, 2, 'the number of entries')
    }
  },
  {
    title: 'A late copy of an earlier batch appends nothing',
    run: async (stand) => {
      const member = await stand.open()
      const early = { number: 1, steps: [messageOf('health_delta', 'early')] }
      await member.apply(...early.steps)
      for (let at = 0; at < 40; at++) await member.apply(messageOf('health_delta', `later ${at}`))
      await member.call('append of an earlier number', member.log.append(early).catch(() => {}))
      const found = (await member.entries()).filter(({ messageId }) => messageId === 'early')
      demandEqual(found.length, 1, 'the number of entries of the earlier batch')
    }
  },
  {
    title: 'Batches of two processes with the same number are different batches',
    run: async (stand) => {
      const members = [await stand.open(), await stand.open()]
      for (const member of members) await member.apply(startOf(member.id))
      demandEqual((await members[0]!.entries()).length, 2, 'the number of entries')
    }
  },
  {
    title: 'A batch is appended even if the numbers before it are missing, as after a failover that lost them',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(runOf('a'))
      const batch = { number: 5, steps: [stepOf('a', 'completed')] }
      const result = await member.call('append', member.log.append(batch))
      demandEqual(result, { outcome: 'appended', verdicts: ['applied'] }, 'the result')
    }
  },
  {
    title: 'A batch is not appended again after the log has got another epoch',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(runOf('a'), messageOf('health_delta', 'h'))
      await member.call('restart', member.log.restart(member.position.epoch))
      const { position } = await member.join()
      const verdicts = await member.appendAgain(runOf('a'), messageOf('health_delta', 'h'))
      demandEqual(verdicts, ['applied', 'applied'], 'the verdicts about the same batch')
      demand((await member.readOn()).length === 0, `something was appended after ${JSON.stringify(position)}`)
    }
  }
]
