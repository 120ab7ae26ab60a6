import type { StandCheck } from '../check.js'
import { demand, demandEqual } from '../demand.js'
import type { Participant } from '../stand.js'
import { lossOf, runOf, startOf, stepOf } from '../steps.js'

async function demandAlive (member: Participant, expected: readonly Participant[]): Promise<void> {
  const { alive } = await member.renew()
  demandEqual(alive, expected.map(({ instance }) => instance), 'the instances that are alive')
}

export const LEASE_CHECKS: readonly StandCheck[] = [
  {
    title: 'Renewing returns the instances that are alive, in the order in which they joined',
    run: async (stand) => {
      const members = [await stand.open(), await stand.open(), await stand.open()]
      for (const member of members) await demandAlive(member, members)
      demandEqual((await members[0]!.renew()).fenced, [], 'the fenced instances')
    }
  },
  {
    title: 'Joining again with the same instance, because the answer got lost, changes nothing',
    run: async (stand) => {
      const members = [await stand.open(), await stand.open()]
      await members[0]!.apply(startOf('a'))
      await members[0]!.join()
      await demandAlive(members[1]!, members)
      await members[0]!.apply(stepOf('a', 'completed'))
    }
  },
  {
    title: 'Processes that join a new log at the same time share one epoch and one secret',
    run: async (stand) => {
      const members = Array.from({ length: 5 }, () => stand.connect())
      const joined = await Promise.all(members.map(async (member) => await member.join()))
      const { position, secret } = joined[0]!
      demand(secret.length >= 16, 'the secret is too short to be unknown to clients')
      for (const one of joined) demandEqual([one.position, one.secret], [position, secret], 'the position and secret')
      await Promise.all(members.map(async (member) => await member.apply(startOf(member.id))))
      for (const member of members) demandEqual((await member.entries()).length, 5, 'the number of entries')
    }
  },
  {
    title: 'An instance that is silent for longer than its lease is fenced by the renewal of another one',
    run: async (stand) => {
      const [member, lost] = [await stand.open(), await stand.open()]
      await lost.apply(runOf('a'))
      await stand.fenced(lost, member)
      await demandAlive(member, [member])
      await lost.demandFenced(stepOf('a', 'completed'))
      const verdicts = await member.append(stepOf('a', 'completed'), lossOf('a', lost.id))
      demandEqual(verdicts, ['lost', 'applied'], 'the verdicts')
      demandEqual((await member.entries()).length, 2, 'the number of entries')
      await stand.pass(stand.leaseMs, member)
      await lost.demandFenced(runOf('b'))
      demandEqual((await member.renew()).fenced, [lost.id], 'the fenced instances')
    }
  },
  {
    title: 'An instance that renews its lease in time is not fenced',
    run: async (stand) => {
      const members = [await stand.open(), await stand.open()]
      await stand.pass(stand.leaseMs * 3, ...members)
      for (const member of members) await member.apply(startOf(member.id))
      await demandAlive(members[0]!, members)
    }
  },
  {
    title: 'A lease that has lapsed is renewed, and its instance may append, if no other one has noticed',
    run: async (stand) => {
      const [member] = [await stand.open(), await stand.open()]
      await member.apply(runOf('a'))
      await stand.pass(stand.leaseMs * 2)
      await member.apply(stepOf('a', 'execution_progress'))
      await member.renew()
      await member.apply(stepOf('a', 'completed'))
    }
  },
  {
    title: 'When nobody could renew for a while, all get time to renew, and only then are fenced',
    run: async (stand) => {
      const [first, second, lost] = [await stand.open(), await stand.open(), await stand.open()]
      await stand.pass(stand.leaseMs * 2)
      demandEqual((await first.renew()).fenced, [], 'the fenced instances after a long silence')
      await second.renew()
      await second.apply(startOf('a'))
      await stand.fenced(lost, first, second)
      await demandAlive(first, [first, second])
    }
  },
  {
    title: 'An instance that leaves is fenced at once',
    run: async (stand) => {
      const [member, leaver] = [await stand.open(), await stand.open()]
      await leaver.apply(runOf('a'))
      await leaver.call('leave', leaver.log.leave())
      await leaver.demandFenced(stepOf('a', 'completed'))
      demandEqual((await member.renew()).fenced, [leaver.id], 'the fenced instances')
      await demandAlive(member, [member])
      await member.apply(lossOf('a', leaver.id))
    }
  },
  {
    title: 'Renewing with a position that has diverged renews the lease nevertheless',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      const { position } = member
      await member.call('restart', member.log.restart(position.epoch))
      await other.join()
      for (let round = 0; round < 15; round++) {
        await stand.pass(stand.leaseMs / 5, other)
        demandEqual(await member.call('renew', member.log.renew(position)), { outcome: 'diverged' }, 'the result')
      }
      await member.apply(startOf('a'))
    }
  }
]
