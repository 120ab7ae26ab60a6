// One run: work and faults for a time, then everything must come to rest with the same picture everywhere.
import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../fanout/processes.mjs'
import { checkEndings, comparePictures, endingsOf, readLedgers } from './checker.mjs'
import { faultsFor } from './faults.mjs'
import { Stage } from './stage.mjs'

/**
 * Runs faults in rounds of all of them, at most `rounds`, and until `untilMs`. Returns when each has begun, and those
 * that could not be played with the reason.
 */
async function disturb (stage, { rounds, untilMs }, report) {
  const { random, scale } = stage
  const happened = [{ name: 'no fault', at: machineMs() }]
  const unplayed = []
  await sleep(3_000)
  for (let round = 1; round <= rounds; round++) {
    for (const fault of random.shuffle(faultsFor(stage))) {
      const name = fault.name(stage)
      if (machineMs() > untilMs) return { happened, unplayed }
      report(name)
      happened.push({ name, at: machineMs() })
      await fault.run(stage).catch((err) => unplayed.push(`${name}: ${err.message}`))
      await sleep(random.between(3_000, 6_000) * scale)
    }
  }
  return { happened, unplayed }
}

/** Waits until all pictures are equal, or for `ms`. Returns the differences that are left. */
async function settle (stage, entries, ms) {
  const until = machineMs() + ms
  for (;;) {
    const log = await stage.readLog()
    const endings = checkEndings(entries, log, stage.losses)
    const different = await findDifferences(stage, log, endingsOf(log, entries), endings.excused)
    if (different.total === 0 || machineMs() > until) return { log, endings, differences: different }
    await sleep(500)
  }
}

async function findDifferences ({ members, clients }, log, endings, excused) {
  const examples = []
  let [total, untold] = [0, 0]
  for (const member of members) {
    const { missions } = await member.ask('picture')
    const picture = new Map(missions.map(([id, attempt, status, seq]) => [id, { attempt, status, seq }]))
    const found = comparePictures(picture, log)
    if (found.length > 0) total++
    examples.push(...found.slice(0, 5).map((text) => `${member.name}: ${text}`))
  }
  for (const client of clients) {
    const compared = await client.ask('compare', { picture: [...log], endings, excused: [...excused] })
    total += compared.wrong
    untold += compared.untold
    examples.push(...compared.examples)
  }
  return { total, untold, examples }
}

/** What the ledgers know of the missions in these texts, by seconds since the begin. */
function tell (texts, { entries, log, happened }) {
  const ids = new Set(texts.flatMap((text) => text.match(/(run|start|shared)-\w+(-\d+)?/)?.[0] ?? []))
  const format = ({ at, kind, status, attempt, life }) =>
    `${Math.round((at - happened[0].at) / 100) / 10} s ${life.label} ${kind} ${attempt} ${status}`
  return [...ids].slice(0, 5).map((id) => {
    const lines = entries.filter((entry) => entry.id === id).map(format)
    return `${id}: ${lines.join(', ')}; in the log ${JSON.stringify(log.get(id))}`
  })
}

/** Runs everything and returns what was found. */
export async function run ({ seconds, rounds, settleMs, ...settings }, report) {
  const stage = await Stage.open(settings)
  try {
    for (const member of stage.members) await member.begin()
    const { happened, unplayed } = await disturb(stage, { rounds, untilMs: machineMs() + seconds * 1_000 }, report)
    if (stage.clock === undefined && rounds < Infinity) unplayed.push('clock step: install libfaketime (the package faketime of Debian)')
    await stage.heal()
    report('coming to rest')
    const ends = await Promise.all(stage.members.map(async (member) => await member.ask('end', { ms: settleMs })))
    const unsettled = ends.reduce((sum, end) => sum + (end?.unsettled ?? 0), 0)
    const entries = readLedgers(stage.members)
    const { log, endings, differences } = await settle(stage, entries, settleMs)
    const ledgers = (await Promise.all(stage.clients.map((client) => client.ask('ledgers')))).flatMap((one) => one.ledgers)
    const deaths = stage.members.flatMap(({ lives }) => lives).filter(({ end }) => end.startsWith('exit'))
    return {
      told: tell(differences.examples, { entries, log, happened }),
      happened,
      unplayed,
      entries,
      ledgers,
      differences,
      unsettled,
      missions: log.size,
      deaths: deaths.map(({ label, end }) => `${label}: ${end}`),
      endings
    }
  } finally {
    await stage.close()
  }
}
