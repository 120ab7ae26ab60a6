import type { MissionStatus } from '../../../../schemas/mission.js'
import type { Verdict } from '../../contract.js'
import type { StandCheck } from '../check.js'
import { demandEqual } from '../demand.js'
import type { Participant } from '../stand.js'
import { lossOf, runOf, startOf, stepOf } from '../steps.js'

const ENDINGS: readonly MissionStatus[] = ['completed', 'cancelled', 'error']

async function demandStatus (member: Participant, id: string, status: MissionStatus, attempt = 1): Promise<void> {
  const state = (await member.states()).get(id)
  demandEqual([state?.status, state?.attempt], [status, attempt], `the status and attempt of the mission ${id}`)
}

export const LIFECYCLE_CHECKS: readonly StandCheck[] = [
  {
    title: 'Every step of an unknown mission is applied, except that it was lost',
    run: async (stand) => {
      const member = await stand.open()
      const steps = [startOf('a'), stepOf('b', 'execution_progress'), stepOf('c', 'error'), runOf('d', { attempt: 7 })]
      await member.apply(...steps)
      const verdicts = await member.append(lossOf('e', member.id), lossOf('f', 'nobody'))
      demandEqual(verdicts, ['stale', 'stale'], 'the verdicts about losses')
      demandEqual([...(await member.states()).keys()].sort(), ['a', 'b', 'c', 'd'], 'the missions')
    }
  },
  {
    title: 'The first ending of a mission wins: the same one is repeated, and every other step is terminal',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      for (const ending of ENDINGS) {
        await member.apply(runOf(ending), stepOf(ending, ending))
        const rest = [...ENDINGS.filter((one) => one !== ending), 'execution_progress' as const]
        const steps = [stepOf(ending, ending), ...rest.map((status) => stepOf(ending, status)), startOf(ending)]
        const verdicts = ['repeated', 'terminal', 'terminal', 'terminal', 'terminal']
        demandEqual(await other.append(...steps), verdicts, `the verdicts after the status ${ending}`)
        await demandStatus(other, ending, ending)
      }
    }
  },
  {
    title: 'Of endings that several processes append at the same time, one is applied',
    run: async (stand) => {
      const members = [await stand.open(), await stand.open(), await stand.open()]
      const ids = Array.from({ length: 20 }, (_, at) => `m${at}`)
      await members[0]!.apply(...ids.map((id) => startOf(id)))
      const end = async (member: Participant, at: number): Promise<Map<string, Verdict>> => {
        const verdicts = new Map<string, Verdict>()
        for (const id of [...ids.slice(at * 7), ...ids.slice(0, at * 7)]) {
          verdicts.set(id, (await member.append(stepOf(id, ENDINGS[at]!)))[0]!)
        }
        return verdicts
      }
      const results = await Promise.all(members.map(end))
      const states = await members[0]!.states()
      for (const id of ids) {
        const verdicts = results.map((one) => one.get(id))
        const winner = ENDINGS.indexOf(states.get(id)!.status)
        const expected = ENDINGS.map((_, index) => index === winner ? 'applied' : 'terminal')
        demandEqual(verdicts, expected, `the verdicts about the endings of ${id}`)
      }
    }
  },
  {
    title: 'A status before the present one is backward; the present one and later ones are applied',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(startOf('a'), stepOf('a', 'execution_progress'), stepOf('a', 'execution_progress'))
      const steps = [stepOf('a', 'execution_started'), stepOf('a', 'planned'), stepOf('a', 'planning_started')]
      demandEqual(await member.append(...steps), ['backward', 'backward', 'backward'], 'the verdicts')
      await demandStatus(member, 'a', 'execution_progress')
      await member.apply(stepOf('a', 'completed'))
    }
  },
  {
    title: 'A start of an active mission is repeated, unless a function takes over what none runs',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(startOf('a'))
      demandEqual(await other.append(startOf('a')), ['repeated'], 'the verdict about a second start')
      await other.apply(runOf('a'))
      demandEqual(await member.append(startOf('a'), runOf('a')), ['repeated', 'repeated'], 'the verdicts after that')
    }
  },
  {
    title: 'A step of an earlier attempt is stale, and a later attempt takes the place of an active or ended one',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(runOf('a'), stepOf('a', 'error'), runOf('b'))
      await other.apply(runOf('a', { attempt: 2 }), runOf('b', { attempt: 3 }))
      const steps = [stepOf('a', 'completed'), startOf('b'), stepOf('b', 'execution_progress', { attempt: 2 })]
      demandEqual(await member.append(...steps), ['stale', 'stale', 'stale'], 'the verdicts about earlier attempts')
      await demandStatus(member, 'a', 'execution_started', 2)
      await demandStatus(member, 'b', 'execution_started', 3)
    }
  },
  {
    title: 'Steps within a batch are judged one after the other',
    run: async (stand) => {
      const member = await stand.open()
      const retry = [startOf('a', { attempt: 2 }), stepOf('a', 'completed'), stepOf('a', 'completed', { attempt: 2 })]
      const verdicts = await member.append(startOf('a'), stepOf('a', 'error'), stepOf('a', 'completed'), ...retry)
      demandEqual(verdicts, ['applied', 'applied', 'terminal', 'applied', 'stale', 'applied'], 'the verdicts')
    }
  }
]
