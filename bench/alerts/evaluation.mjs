// What one evaluation of all rules costs, in a service with many missions, names, operations and tenants.
const NAMES = 50
const OPERATIONS = 20
const INTERVAL_MS = 15_000
const ROUNDS = 41

const SCENES = {
  'a small service': { active: 10, tenants: 0 },
  '10,000 active missions': { active: 10_000, tenants: 0 },
  '10,000 active missions of 100 tenants': { active: 10_000, tenants: 100 }
}

/** The median CPU time of an evaluation in ms, and its share of a core at the default interval in percent. */
export async function measureEvaluation () {
  const rows = []
  for (const [scene, size] of Object.entries(SCENES)) rows.push([scene, await measureScene(size)])
  return Object.fromEntries(rows)
}

async function measureScene ({ active, tenants }) {
  const { createCore } = await import('../../dist/lib/core.js')
  const { resolveOptions } = await import('../../dist/lib/base/options.js')
  const { CallbackErrors } = await import('../../dist/lib/base/callback-errors.js')
  const { createVirtualClock } = await import('../../dist/lib/base/virtual-clock.js')
  const { createMissions } = await import('../../dist/lib/missions/index.js')
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const log = { trace () {}, debug () {}, info () {}, warn () {}, error () {}, child: () => log }
  const options = resolveOptions({ missions: { maxActive: 1_000_000, stallMs: 86_400_000 } }, {})
  const access = { isRestricted: false, isNarrowed: false }
  const core = createCore({ options: { ...options, backplane: undefined }, clock, log, access, callbackErrors: new CallbackErrors(log) })
  const missions = createMissions(core.missions)
  const initOf = (at) => ({ name: `job ${at % NAMES}`, ...tenants > 0 && { tenant: `tenant ${at % tenants}` } })
  for (let at = 0; at < tenants; at++) core.alerts.of(`tenant ${at}`).firing()
  for (let at = 0; at < active; at++) missions.start(initOf(at))
  for (let at = 0; at < NAMES * 40; at++) missions.start(initOf(at)).complete()
  core.alerts.start()
  const samples = []
  for (let round = 0; round < ROUNDS; round++) {
    for (let at = 0; at < NAMES; at++) missions.start(initOf(at)).complete()
    for (let at = 0; at < OPERATIONS; at++) core.monitoring.trackOperation({ component: 'db', operation: `query ${at}`, status: 'success', durationMs: 5 + at })
    const before = process.cpuUsage()
    clock.advance(INTERVAL_MS)
    const { user, system } = process.cpuUsage(before)
    samples.push((user + system) / 1_000)
  }
  const watched = tenants === 0 ? undefined : 'tenant 0'
  if (active > 1_000 && core.alerts.of(watched).firing().length === 0) throw new Error('nothing was evaluated')
  core.alerts.close()
  core.missions.close()
  const ms = samples.sort((a, b) => a - b)[ROUNDS >> 1]
  return { ms, percentOfCore: ms / INTERVAL_MS * 100 }
}
