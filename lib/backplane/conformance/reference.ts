import { MISSION_STATUSES } from '../../../schemas/mission.js'
import type { LogBatch, LogStep } from '../contract.js'
import { createMemoryBackplane } from '../memory/backplane.js'
import type { StandCheck } from './check.js'
import { demandEqual } from './demand.js'
import type { Participant, Stand } from './stand.js'
import { messageOf, stepOf } from './steps.js'

const SEEDS = [1, 2, 3]
const BATCHES = 120
/** How many batches are about the same missions. */
const BATCHES_PER_ROUND = 8
const MEMBERS = 3
const TENANTS = [null, 'x', 'y']

type Random = (max: number) => number

/** Whole numbers from 0 to below `max` that depend on the seed only. */
function createRandomNumbers (seed: number): Random {
  let state = seed
  return (max) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 4_294_967_296 * max)
  }
}

function randomStep (random: Random, ids: readonly string[], round: number): LogStep {
  const at = random(8)
  const messageId = `message ${random(1_000_000)}`
  const tenant = TENANTS[at % TENANTS.length]!
  const isReliable = random(3) > 0
  if (at > 6) return messageOf('health_delta', messageId, { tenant, isReliable })
  return stepOf(`m${round - random(4)} ${at}`, MISSION_STATUSES[random(MISSION_STATUSES.length)]!, {
    tenant,
    messageId,
    isReliable,
    attempt: random(9) === 0 ? 2 : 1,
    isRun: random(2) > 0,
    isStart: random(3) === 0,
    lostWith: random(4) === 0 ? ids[random(ids.length)] : undefined,
    durationMs: random(1_000) / 8,
    ...random(6) === 0 && { update: '' },
    ...random(4) === 0 && { state: '' }
  })
}

const sorted = (list: readonly object[]): string[] =>
  list.map((one) => JSON.stringify(Object.entries(one).sort())).sort()

/** What two logs have in common after the same calls. */
async function summarize (member: Participant): Promise<unknown> {
  const told = ({ after, instance, number, entries }: LogBatch) => ({ after, instance, number, entries })
  const { position, counts, heads } = await member.join()
  member.position = { ...position, sequence: 0, token: '' }
  return {
    sequence: position.sequence,
    counts: sorted(counts),
    heads: sorted(heads),
    states: sorted([...(await member.states()).values()]),
    batches: (await member.readOn()).map(told),
    history: (await member.call('history', member.log.history())).map(told)
  }
}

async function compare (seed: number, members: readonly Participant[], others: readonly Participant[]): Promise<void> {
  const random = createRandomNumbers(seed)
  const ids = members.map(({ id }) => id)
  // The first process leaves, so that the missions that it ran can be lost.
  for (let at = 0; at < BATCHES; at++) {
    const isLate = at >= BATCHES / 2
    if (at === BATCHES / 2) for (const one of [members, others]) await one[0]!.log.leave()
    const who = isLate ? 1 + random(MEMBERS - 1) : random(MEMBERS)
    const round = Math.floor(at / BATCHES_PER_ROUND)
    const steps = Array.from({ length: 1 + random(6) }, () => randomStep(random, ids, round))
    const expected = await others[who]!.append(...steps)
    demandEqual(await members[who]!.append(...steps), expected, `the verdicts about ${JSON.stringify(steps)}`)
  }
  const [found, expected] = [await summarize(members[1]!), await summarize(others[1]!)]
  for (const [name, value] of Object.entries(expected as object)) {
    demandEqual((found as Record<string, unknown>)[name], value, name)
  }
}

const openAll = async (stand: Stand): Promise<Participant[]> =>
  await Promise.all(Array.from({ length: MEMBERS }, async () => await stand.open()))

export const REFERENCE_CHECKS: readonly StandCheck[] = SEEDS.map((seed) => ({
  title: `Random steps have the same verdicts and the same effects as with the memory backplane (story ${seed})`,
  run: async (stand) => {
    await compare(seed, await openAll(stand), await openAll(stand.beside(createMemoryBackplane())))
  }
}))
