import type { StandCheck } from '../check.js'
import { demandEqual } from '../demand.js'
import type { Participant } from '../stand.js'
import { lossOf, runOf, startOf, stepOf } from '../steps.js'

async function demandOwner (member: Participant, id: string, owner: Participant, isRun: boolean): Promise<void> {
  const state = (await member.states()).get(id)
  demandEqual([state?.owner, state?.isRun], [owner.id, isRun], `the owner of the mission ${id}, and whether it runs`)
}

export const OWNERSHIP_CHECKS: readonly StandCheck[] = [
  {
    title: 'A mission belongs to the process that has started it, whoever reports its steps, and entries say so',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(startOf('a'), runOf('b'))
      await other.apply(stepOf('a', 'execution_progress'), stepOf('b', 'execution_progress'))
      await demandOwner(other, 'a', member, false)
      await demandOwner(other, 'b', member, true)
      const owners = (await other.entries()).map((entry) => entry.kind === 'mission' && [entry.owner, entry.isRun])
      demandEqual(owners, [false, true, false, true].map((isRun) => [member.id, isRun]), 'the owners in the entries')
    }
  },
  {
    title: 'A function that takes a mission over, and a later attempt, make their process the owner',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(startOf('a'), runOf('b'))
      await other.apply(runOf('a'), startOf('b', { attempt: 2 }))
      await demandOwner(member, 'a', other, true)
      await demandOwner(member, 'b', other, false)
    }
  },
  {
    title: 'A mission that ran in a process that is gone accepts its loss, once, and no other step',
    run: async (stand) => {
      const [member, other, third] = [await stand.open(), await stand.open(), await stand.open()]
      await member.apply(runOf('a'), runOf('b'))
      const early = await other.append(lossOf('a', member.id))
      demandEqual(early, ['stale'], 'the verdict about a loss with a process that is alive')
      await member.call('leave', member.log.leave())
      const steps = [stepOf('a', 'completed'), stepOf('a', 'execution_progress'), startOf('a')]
      demandEqual(await other.append(...steps), ['lost', 'lost', 'lost'], 'the verdicts about steps')
      const later = lossOf('a', member.id, { attempt: 2 })
      const wrong = [lossOf('a', third.id), lossOf('a', other.id), lossOf('a', 'nobody'), later]
      demandEqual(await other.append(...wrong), wrong.map(() => 'stale'), 'the verdicts about other losses')
      demandEqual(await other.append(lossOf('a', member.id)), ['applied'], 'the verdict about the loss')
      demandEqual(await third.append(lossOf('a', member.id)), ['repeated'], 'the verdict about a second loss')
      await third.apply(runOf('b', { attempt: 2 }))
    }
  },
  {
    title: 'A mission that nobody runs outlives its owner, and belongs to the next process that reports it',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(startOf('a'))
      await member.call('leave', member.log.leave())
      demandEqual(await other.append(lossOf('a', member.id)), ['stale'], 'the verdict about a loss')
      await demandOwner(other, 'a', member, false)
      await other.apply(stepOf('a', 'execution_progress'))
      await demandOwner(other, 'a', other, false)
      await other.apply(stepOf('a', 'completed'))
    }
  }
]
