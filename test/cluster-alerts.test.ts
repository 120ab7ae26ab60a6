import t, { type Test } from 'tap'
import type { MissionControlOptions } from '../lib/index.js'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import type { Backplane } from '../lib/backplane/contract.js'
import { CallbackErrors } from '../lib/base/callback-errors.js'
import { resolveOptions } from '../lib/base/options.js'
import { createVirtualClock, type VirtualClock } from '../lib/base/virtual-clock.js'
import { SharedOperations } from '../lib/monitoring/index.js'
import { createCore, type Core, type CoreLog } from '../lib/core.js'
import { createFaultyBackplane, type FaultyBackplane } from './support/faulty-backplane.js'

const SILENT: CoreLog = { trace () {}, debug () {}, info () {}, warn () {}, error () {}, child: () => SILENT }

/** A process on a virtual clock. */
interface Member { core: Core, backplane: FaultyBackplane, name: string }

async function join (t: Test, shared: Backplane, clock: VirtualClock, given: Pick<MissionControlOptions, 'alerts' | 'channels'>): Promise<Member> {
  const backplane = createFaultyBackplane(shared)
  const options = { ...resolveOptions(given as never, {}), backplane }
  const core = createCore({
    options, clock, log: SILENT, access: { isRestricted: false, isNarrowed: false }, callbackErrors: new CallbackErrors(SILENT), defer: queueMicrotask
  })
  t.teardown(() => { core.alerts.close() })
  await core.cluster!.start(1_000)
  return { core, backplane, name: core.cluster!.membership.instance.id }
}

/** Lets time pass in steps of 2.5 s, and what follows from it happen. */
async function pass (clock: VirtualClock, ms: number, eachStep = () => {}): Promise<void> {
  for (let passed = 0; passed < ms; passed += 2_500) {
    eachStep()
    clock.advance(2_500)
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

const firing = ({ core }: Member): string[] => core.alerts.of(undefined).firing().map(({ fingerprint }) => String(fingerprint))

const CALM: MissionControlOptions = { alerts: { rules: { event_loop_late: { forMs: 0, keepMs: 60_000 }, slow_consumers: { forMs: 0, keepMs: 60_000 } } } }

t.test('the rules about the process see all processes', async (t) => {
  const clock = createVirtualClock()
  const shared = createMemoryBackplane()
  const one = await join(t, shared, clock, CALM)
  let own = { eventLoopDelayMs: 300, slowConsumers: 0 }
  one.core.alerts.observe(() => own)
  await pass(clock, 15_000)
  t.strictSame(firing(one), ['event_loop_late'], 'a process alone has no label')
  own = { eventLoopDelayMs: 0, slowConsumers: 0 }
  await pass(clock, 90_000)
  t.strictSame(firing(one), [])

  const two = await join(t, shared, clock, CALM)
  const counters = { eventLoopDelayMs: 0, slowConsumers: 0 }
  two.core.alerts.observe(() => counters)
  const worker = await join(t, shared, clock, CALM)
  await pass(clock, 60_000)
  t.strictSame(firing(two), [])
  Object.assign(counters, { eventLoopDelayMs: 400, slowConsumers: 11 })
  await pass(clock, 60_000)
  const alerts = [`event_loop_late{instance="${two.name}"}`, `slow_consumers{instance="${two.name}"}`]
  for (const member of [one, two, worker]) t.strictSame(firing(member), alerts)

  t.comment('its reports get lost, and its lease is renewed')
  two.backplane.fault = 'refused'
  two.backplane.only = ['send']
  Object.assign(counters, { eventLoopDelayMs: 0 })
  await pass(clock, 600_000)
  t.strictSame(firing(one), alerts, 'missing data is not fine')
  two.backplane.fault = 'none'
  await pass(clock, 120_000)
  t.strictSame(firing(one), [alerts[1]])
  await pass(clock, 240_000)
  t.strictSame(firing(one), [], 'clients that were slow 15 minutes ago do not count')

  t.comment('it dies')
  Object.assign(counters, { eventLoopDelayMs: 1_500 })
  await pass(clock, 30_000)
  t.strictSame(firing(one), [alerts[0]])
  two.backplane.fault = 'silent'
  two.backplane.only = undefined
  await pass(clock, 120_000)
  t.strictSame(firing(one), [])
})

t.test('operations are those of all processes', async (t) => {
  const clock = createVirtualClock()
  const shared = createMemoryBackplane()
  const options: MissionControlOptions = {
    channels: { anomalyAlertMs: 60_000 },
    alerts: { rules: { metric_missing: { forMs: 0, keepMs: 0, minReports: 3, minMs: 100_000 }, metric_flat: { enabled: false } } }
  }
  const [one, two] = [await join(t, shared, clock, options), await join(t, shared, clock, options)]
  const track = ({ core: { monitoring } }: Member, component: string) => monitoring.trackOperation({ component, operation: 'read', status: 'success', durationMs: 10 })
  await pass(clock, 600_000, () => {
    track(one, 'db')
    track(two, 'disk')
    track(two, 'db')
  })
  const counts = Object.fromEntries(one.core.cluster!.reports.operationCounters().map(({ component, success }) => [component, success]))
  t.ok(counts['db']! >= 475 && counts['db']! <= 480, `db ${counts['db']}`)
  t.strictSame(firing(one), [])
  const [adaptive] = one.core.cluster!.reports.operationLatencies()
  t.ok(adaptive!.count > 30, 'the last minute of both')

  t.comment('one operation stops, and then its process')
  await pass(clock, 240_000, () => track(one, 'db'))
  t.strictSame(firing(one), ['metric_missing{component="disk",operation="read"}'])
  two.backplane.fault = 'silent'
  await pass(clock, 1_800_000, () => track(one, 'db'))
  t.strictSame(firing(one), ['metric_missing{component="disk",operation="read"}'], 'the process that reported it is gone')
  await pass(clock, 1_830_000, () => track(one, 'db'))
  t.strictSame(firing(one), [], 'it is forgotten')
  t.strictSame(one.core.cluster!.reports.operationCounters().map(({ component }) => component), ['db'])
})

t.test('the number of operations of all processes is bounded, and further ones are counted together', async (t) => {
  const operations = new SharedOperations()
  const countersOf = (process: string, success: number) => Array.from({ length: 100 }, (_, at) =>
    ({ component: process, operation: `o${at}`, success, error: 0, durationCount: 0, durationSumMs: 0 }))
  for (const success of [1, 3]) {
    for (let process = 0; process < 6; process++) operations.update(`p${process}`, countersOf(`p${process}`, success), 0)
  }
  const read = operations.read(0)
  t.equal(read.length, 501)
  t.match(read[499], { component: 'p4', operation: 'o99', success: 2 })
  t.match(read[500], { component: 'other', operation: 'other', success: 200 })
})
