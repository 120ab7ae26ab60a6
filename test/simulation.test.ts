import t from 'tap'
import { simulate } from './support/simulation.js'

/** How many stories are played; each is what its seed makes of it. */
const SEEDS = Number(process.env['SIMULATION_SEEDS'] ?? 2_000)
/** One of them alone. */
const ONLY = process.env['SIMULATION_SEED']
const STORIES_A_CHECK = 100

/** How often everything that can happen to a client did. */
const happened: Record<string, number> = {}

/** Plays stories and gives the problems of the first one that has some, with how to see it again. */
async function play (seeds: readonly number[]): Promise<string> {
  for (const seed of seeds) {
    const { problems, counts } = await simulate(seed)
    for (const [name, count] of Object.entries(counts)) happened[name] = (happened[name] ?? 0) + count
    if (problems.length > 0) return `seed ${seed}: ${problems.slice(0, 10).join('; ')}\nplay it again with SIMULATION_SEED=${seed} npx tap test/simulation.test.ts`
  }
  return ''
}

t.test('whatever happens to connections and services, every client is told each ending once and holds in the end what the registry holds', { timeout: 400_000 }, async (t) => {
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, seed) => seed + 1) : [Number(ONLY)]
  for (let at = 0; at < seeds.length; at += STORIES_A_CHECK) {
    const some = seeds.slice(at, at + STORIES_A_CHECK)
    t.equal(await play(some), '', `seeds ${some[0]} to ${some.at(-1)}`)
  }
})

t.test('the stories have everything in them that can happen to a client', { skip: ONLY !== undefined && 'one story alone is played' }, async (t) => {
  for (const name of ['fresh', 'resumed', 'gap', 'trimmed', 'epoch_changed', 'lagged', 'replaced']) t.ok(happened[name]! > 0, `${name}: ${happened[name]} times`)
})

t.test('the same seed gives the same story', async (t) => {
  for (const seed of [7, 77, 777]) t.strictSame(await simulate(seed), await simulate(seed))
})
