import t from 'tap'
import { simulate } from './support/simulation.js'

/** How many stories are played, each from its own seed; `.ci/run` plays more. */
const SEEDS = Number(process.env['SIMULATION_SEEDS'] ?? 1_000)
/** Plays this seed only. */
const ONLY = process.env['SIMULATION_SEED']
const STORIES_PER_ASSERTION = 100

/** Events of all stories, and how often each must happen in a hundred of them. */
const LEAST_PER_100 = { fresh: 500, resumed: 50, gap: 100, trimmed: 50, epoch_changed: 100, lagged: 20, replaced: 500 }
const happened: Record<string, number> = {}

/** Plays stories. Returns the problems of the first one that has any, and the command that plays it again; otherwise an empty string. */
async function play (seeds: readonly number[]): Promise<string> {
  for (const seed of seeds) {
    const { problems, counts } = await simulate(seed)
    for (const [name, count] of Object.entries(counts)) happened[name] = (happened[name] ?? 0) + count
    if (problems.length > 0) return `seed ${seed}: ${problems.slice(0, 10).join('; ')}\nplay it again with SIMULATION_SEED=${seed} npx tap test/simulation.test.ts`
  }
  return ''
}

const title = 'through all failures of connections and services, every client receives each end of a mission once and finally holds the state of the registry'
t.test(title, { timeout: 400_000 }, async (t) => {
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(ONLY)]
  for (let start = 0; start < seeds.length; start += STORIES_PER_ASSERTION) {
    const some = seeds.slice(start, start + STORIES_PER_ASSERTION)
    t.equal(await play(some), '', `seeds ${some[0]} to ${some.at(-1)}`)
  }
})

t.test('every outcome of a subscription, gap and overflow happens often', { skip: ONLY !== undefined && 'only one story is played' }, async (t) => {
  for (const [name, least] of Object.entries(LEAST_PER_100)) t.ok(happened[name]! >= least * SEEDS / 100, `${name}: ${happened[name]} times`)
})

t.test('the same seed always makes the same story', async (t) => {
  for (const seed of [7, 77, 777]) t.strictSame(await simulate(seed), await simulate(seed))
})
