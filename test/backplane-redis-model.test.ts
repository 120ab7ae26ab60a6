import fc from 'fast-check'
import t from 'tap'
import { createMemoryBackplane, type Backplane, type MissionLogStep } from '../lib/backplane/index.js'
import { systemClock } from '../lib/base/clock.js'
import { MISSION_STATUSES } from '../schemas/mission.js'
import { LogUser, openRedis, quickBackplane } from './support/redis-log.js'
import { redisServer } from './support/redis-server.js'
import { onlyWith } from './support/skip.js'

/** Cases in one run share a log, so that one call of Redis has a step of each of them. */
const CASES = 100
const RUNS = 30

const PROCESSES = ['one', 'two', 'gone']
const TENANTS = [null, 'x', 'ü 🚀']

const move = fc.record({
  process: fc.nat({ max: 2 }),
  mission: fc.nat({ max: 1 }),
  attempt: fc.constantFrom(1, 1, 1, 2, 2 ** 52),
  status: fc.constantFrom(...MISSION_STATUSES),
  isRun: fc.boolean(),
  isStart: fc.boolean(),
  isReliable: fc.boolean(),
  lostWith: fc.constantFrom(undefined, undefined, undefined, ...PROCESSES),
  tenant: fc.constantFrom(...TENANTS),
  isTold: fc.boolean(),
  hasState: fc.boolean()
})
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never

const history = fc.record({ before: fc.array(move, { maxLength: 8 }), after: fc.array(move, { maxLength: 8 }) })

function toStep ({ mission, lostWith, isTold, hasState, ...move }: Move, of: number, round: number): MissionLogStep {
  const id = `${of}-${mission}`
  const text = `${id} in round ${round}`
  const durationMs = round + 0.1
  return { kind: 'mission', ...move, id, lostWith, durationMs, messageId: text, update: isTold ? text : '', state: hasState ? text : '' }
}

/** Plays all histories at the same time: each round is one step of each, in one batch of each process. */
async function play (histories: ReadonlyArray<{ before: Move[], after: Move[] }>, backplane: Backplane) {
  const users = PROCESSES.map((id) => new LogUser(backplane, id, systemClock))
  for (const user of users) await user.join()
  const verdicts: unknown[] = []
  const playRounds = async (moves: readonly Move[][], alive: number, first: number) => {
    for (let round = 0; round < 8; round++) {
      for (let process = 0; process < alive; process++) {
        const steps = moves.flatMap((list, of) => {
          const next = list[round]
          return next === undefined || next.process % alive !== process ? [] : [toStep(next, of, first + round)]
        })
        verdicts.push(await users[process]!.append(...steps))
      }
    }
  }
  await playRounds(histories.map(({ before }) => before), 3, 0)
  await users[2]!.log.leave()
  await playRounds(histories.map(({ after }) => after), 2, 8)
  const [reader] = users
  const entries = await reader!.read()
  const states = []
  for await (const page of reader!.log.states()) states.push(...page)
  const { counts, heads } = await reader!.join()
  const kept = (await reader!.log.history()).map(({ instance, number, after, entries }) => ({ instance, number, after, entries }))
  for (const user of users) await user.log.close()
  const byText = (list: readonly object[]) => list.map((one) => JSON.stringify(Object.entries(one).sort())).sort()
  return { verdicts, entries, states: byText(states), counts: byText(counts), heads: byText(heads), kept }
}

t.test('Redis decides about every step as the lifecycle table does, and stores the same as the memory', onlyWith(redisServer), async (t) => {
  const { server } = await openRedis(t)
  let runs = 0
  const property = fc.asyncProperty(fc.array(history, { minLength: CASES, maxLength: CASES }), async (histories) => {
    const redis = await play(histories, quickBackplane({ client: server.url, namespace: `run-${runs++}` }, 60_000))
    const memory = await play(histories, createMemoryBackplane({ leaseMs: 60_000 }))
    t.strictSame(redis, memory)
    return t.passing()
  })
  await fc.assert(property, { numRuns: RUNS, endOnFailure: true })
})
