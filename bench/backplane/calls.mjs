// What single calls cost: many missions take the same step in one turn, so that its CPU time can be measured.
import { setTimeout as sleep } from 'node:timers/promises'

const MISSIONS = 1_000
/** Longer than the pause between two progress messages of a mission. */
const PAUSE_MS = 110

const STEPS = [
  ['start', (missions, id) => missions.start({ id, name: 'job' })],
  ['report', (missions, id, mission) => mission.planned()],
  ['report', (missions, id, mission) => mission.executionStarted()],
  ['progress', (missions, id, mission) => mission.progress({ taskId: 'a', index: 1, total: 3, status: 'running' })],
  ['progress', (missions, id, mission) => mission.progress({ taskId: 'b', index: 2, total: 3, status: 'running' })],
  ['progress', (missions, id, mission) => mission.progress({ taskId: 'c', index: 3, total: 3, status: 'running' })],
  ['end', (missions, id, mission) => mission.complete()]
]

const cpuUs = () => {
  const { user, system } = process.cpuUsage()
  return user + system
}

/**
 * Lets 1,000 missions live. Returns the CPU time of each kind of call in µs by round, and that of the whole process for
 * each step.
 */
export async function measureCalls (missions, { prefix }) {
  const calls = { start: [], report: [], progress: [], end: [] }
  const handles = new Map()
  const beganAt = cpuUs()
  for (const [kind, take] of STEPS) {
    const before = cpuUs()
    for (let at = 0; at < MISSIONS; at++) {
      const id = `${prefix}-${at}`
      const result = take(missions, id, handles.get(id))
      if (kind === 'start') handles.set(id, result)
    }
    calls[kind].push((cpuUs() - before) / MISSIONS)
    await sleep(PAUSE_MS)
  }
  return { calls, processUs: (cpuUs() - beganAt) / (MISSIONS * STEPS.length) }
}

const DETAILS = { tags: ['nightly', 'customers'], metadata: { customer: 'customer 17', region: 'eu-west' } }

/** Adds missions that go on, and missions that have ended, and waits until they are stored. */
export async function fill (missions, { prefix, active, ended }) {
  let last
  for (let at = 0; at < active + ended; at++) {
    const mission = missions.start({ id: `${prefix}-${at}`, name: `job ${at % 200}`, ...DETAILS })
    if (at >= active) {
      mission.planned()
      mission.progress({ taskId: 'rows', index: 80, total: 80, status: 'done' })
      mission.complete()
      last = mission
    }
    // The outbox is bounded.
    if (at % 1_000 === 999) await last?.settled() ?? await sleep(50)
  }
  const mission = missions.start({ id: `${prefix}-last`, name: 'job' })
  mission.complete()
  await mission.settled()
}
