import t, { type Test } from 'tap'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import type { Backplane, LogStep, MissionLogStep, PublicationStep, SharedLog } from '../lib/backplane/contract.js'
import { createUnifiedId, createVirtualClock, errors } from '../lib/index.js'
import { connectReporter } from '../lib/reporter.js'
import { EndedShared } from '../lib/cluster/picture/ended-shared.js'
import { RecentEntries } from '../lib/cluster/picture/recent-entries.js'
import { SharedCounts } from '../lib/cluster/picture/shared-counts.js'
import { OwnUpdates } from '../lib/cluster/picture/own-updates.js'
import { StepOutbox } from '../lib/cluster/log/outbox.js'
import type { PendingStep } from '../lib/cluster/log/steps.js'
import { SharedMission } from '../lib/missions/index.js'
import { readEndedAt } from '../lib/missions/state/shared/mission-copy.js'
import { DeadlineQueue } from '../lib/missions/lifetime/deadline-queue.js'
import { systemClock } from '../lib/base/clock.js'
import type { MissionStatus } from '../schemas/index.js'
import { connect } from './support/client.js'
import { startProcess, until } from './support/cluster.js'

/** Another process, which writes to the log what it likes. */
async function joinAs (t: Test, backplane: Backplane, id: string): Promise<{ log: SharedLog, append: (...steps: LogStep[]) => Promise<unknown> }> {
  const log = backplane.connect({ clock: systemClock, onMessage () {}, onWarning () {} })
  await log.join({ id, service: 'peer' })
  t.teardown(async () => await log.close())
  let number = 0
  return { log, append: async (...steps) => await log.append({ number: ++number, steps }) }
}

const stepOf = (id: string, status: MissionStatus, more: Partial<MissionLogStep> = {}): MissionLogStep => ({
  kind: 'mission',
  id,
  tenant: null,
  attempt: 1,
  status,
  isRun: false,
  isStart: status === 'planning_started',
  isReliable: true,
  lostWith: undefined,
  durationMs: 5,
  messageId: createUnifiedId('message'),
  update: JSON.stringify({ missionId: id, status, name: 'peer', seq: 1 }),
  state: JSON.stringify({ name: 'peer', startedAt: 1, updatedAt: 2 }),
  ...more
})

const publicationOf = (channel: string, update: string, more: Partial<PublicationStep> = {}): PublicationStep =>
  ({ kind: 'publication', channel, tenant: null, isReliable: true, messageId: createUnifiedId('message'), update, retain: undefined, ...more })

t.test('what other processes write is not trusted', async (t) => {
  t.test('an update that is broken or about another mission is dropped and counted, and the next one arrives', async (t) => {
    const backplane = createMemoryBackplane()
    const { app } = await startProcess(t, backplane)
    const client = await (await connect(app)).subscribe('mission_update')
    const peer = await joinAs(t, backplane, 'peer')
    await peer.append(
      stepOf('a', 'planning_started', { update: '{' }),
      stepOf('b', 'planning_started', { update: '{"missionId":7}' }),
      stepOf('c', 'planning_started', { update: JSON.stringify({ missionId: 'x', status: 'planning_started', name: 'n', seq: 1 }) }),
      stepOf('d', 'planning_started', { update: JSON.stringify({ missionId: 'd', status: 'completed', name: 'n', seq: 1 }) }),
      stepOf('e', 'planning_started')
    )
    t.equal((await client.next('mission_update')).payload.missionId, 'e')
    t.match((await app.inject('/api/v1/metrics/prometheus')).body, /backplane_entries_broken_total 4\n/)
    const late = await connect(app)
    late.send({ type: 'subscribe', channels: ['mission_update'] })
    t.match((await late.next('subscription_ack')).payload, { outcome: 'fresh', messages: 5 })
  })

  t.test('ids of messages are escaped, and an update is sent as it was written unless its number was another', async (t) => {
    const backplane = createMemoryBackplane()
    const { app } = await startProcess(t, backplane)
    const client = await (await connect(app)).subscribe('mission_update')
    const peer = await joinAs(t, backplane, 'peer')
    const text = (seq: number) => `{ "missionId": "a", "status": "planned", "name": "x\\u0041", "seq": ${seq}, "newer": [1] }`
    await peer.append(stepOf('a', 'planning_started', { messageId: 'a"b\\","payload":{}' }))
    t.equal((await client.next('mission_update')).id, 'a"b\\","payload":{}')
    await peer.append(stepOf('a', 'planned', { update: text(2) }))
    t.match(await client.next('mission_update'), { payload: { missionId: 'a', name: 'xA', seq: 2, newer: [1] }, position: { offset: 2 } })
    await peer.append(stepOf('a', 'planned', { update: text(7) }))
    t.match(await client.next('mission_update'), { payload: { missionId: 'a', name: 'xA', seq: 3, newer: [1] }, position: { offset: 3 } })
  })

  t.test('what claims to be a message of this process is only believed if it is the same', async (t) => {
    const own = new OwnUpdates()
    const update = { missionId: 'a', status: 'planned', name: 'x', seq: 1 } as const
    for (let i = 0; i < 5_000; i++) own.put(`m${i}`, { update, text: `text ${i}` })
    t.equal(own.take('m4999', 'text 4999'), update)
    t.equal(own.take('m4999', 'text 4999'), undefined, 'once')
    t.equal(own.take('m4998', 'other'), undefined)
    t.equal(own.take('m0', 'text 0'), undefined, 'their number is bounded')
    t.equal(own.take('m4000', 'text 4000'), update)
    own.clear()
    t.equal(own.take('m4001', 'text 4001'), undefined)
  })

  t.test('a broken update in the history is left out for clients that subscribe later', async (t) => {
    const backplane = createMemoryBackplane()
    const peer = await joinAs(t, backplane, 'peer')
    await peer.append(stepOf('a', 'planning_started'), stepOf('b', 'planning_started', { update: '{' }), stepOf('c', 'planning_started'))
    await peer.append(publicationOf('anomaly_alert', '{'), publicationOf('anomaly_alert', JSON.stringify(ALERT)))
    const { app } = await startProcess(t, backplane)
    const client = await (await connect(app)).subscribe('mission_update', 'anomaly_alert')
    await peer.append(stepOf('d', 'planning_started'))
    t.match(await client.next('mission_update', ({ payload }) => payload.missionId === 'd'), { position: { offset: 4 } })
  })

  t.test('a state that is broken is shown by its id alone', async (t) => {
    const backplane = createMemoryBackplane()
    const { app } = await startProcess(t, backplane)
    const peer = await joinAs(t, backplane, 'peer')
    await peer.append(stepOf('a', 'planning_started', { state: '{"name":7}' }), stepOf('b', 'planning_started', { state: 'garbage' }), stepOf('z', 'completed', { state: 'garbage' }))
    await until(() => app.missions.stats().active === 2)
    t.strictSame(app.missions.list().missions.map(({ id, name, status }) => [id, name, status]), [['z', 'unreadable', 'completed'], ['b', 'unreadable', 'planning_started'], ['a', 'unreadable', 'planning_started']])
    t.strictSame(app.missions.report('a', 'completed'), { applied: true })
    t.match(await app.missions.get('a')!.settled(), { status: 'completed' })
  })

  t.test('messages and publications that are broken or unknown are ignored', async (t) => {
    const backplane = createMemoryBackplane()
    const { app } = await startProcess(t, backplane)
    const client = await (await connect(app)).subscribe('mission_update', 'anomaly_alert', 'health_delta')
    await client.next('health_delta')
    const peer = await joinAs(t, backplane, 'peer')
    for (const text of ['{', '7', '{"type":"newer"}', '{"type":"report","from":"peer"}', '{"type":"cancelled","call":"x","result":"requested"}']) await peer.log.send(undefined, text)
    await peer.append(
      publicationOf('anomaly_alert', '{'), publicationOf('anomaly_alert', '{"rule":7}'), publicationOf('newer_channel', '{}'),
      publicationOf('mission_update', '{'), publicationOf('mission_update', '{"missionId":7}'),
      publicationOf('mission_update', '', { retain: { key: 'alerts', value: 'garbage' }, isReliable: false })
    )
    await peer.append(publicationOf('mission_update', '', { retain: { key: 'alerts', value: '[{"alertId":7}]' }, isReliable: false }))
    await peer.append(stepOf('a', 'planning_started'))
    await client.next('mission_update', ({ payload }) => payload.missionId === 'a')
    t.strictSame((await client.settle()).map(({ type }) => type), [])
    const late = await (await connect(app)).subscribe('anomaly_alert')
    t.strictSame((await late.settle()).map(({ type }) => type), [])
  })

  t.test('alerts and silences that are retained with impossible times are ignored', async (t) => {
    const backplane = createMemoryBackplane()
    const { app } = await startProcess(t, backplane, { channels: { anomalyAlertMs: 20 }, alerts: { rules: { mission_active: { warning: 0, forMs: 0 } } } })
    const client = await (await connect(app)).subscribe('anomaly_alert')
    const peer = await joinAs(t, backplane, 'peer')
    const condition = { key: 'k', severity: 'warning', labels: {}, rule: 'k', category: 'mission', message: 'm', metric: null, value: null, threshold: null, details: null }
    const retain = async (key: string, value: unknown) => await peer.append(publicationOf('anomaly_alert', '', { retain: { key, value: JSON.stringify(value) }, isReliable: false }))
    await retain('alerts', [{ alertId: 'a', severity: 'warning', startsAt: 1e20, sentAt: 1, peak: null, condition }])
    await retain('alert_silences', [['mission_active', { until: 1e300, by: 'peer' }]])
    await peer.append(stepOf('a', 'planning_started'))
    t.match((await client.next('anomaly_alert')).payload, { rule: 'mission_active', state: 'firing' })
    t.match(app.monitoring.alerts(), [{ rule: 'mission_active' }])
  })

  t.test('a cancel for a mission that this process does not know is answered so', async (t) => {
    const backplane = createMemoryBackplane()
    const { app } = await startProcess(t, backplane)
    const answers: string[] = []
    const log = backplane.connect({ clock: systemClock, onMessage: (text) => { answers.push(text) }, onWarning () {} })
    await log.join({ id: 'peer', service: 'peer' })
    t.teardown(async () => await log.close())
    app.missions.start({ id: 'a', name: 'import' })
    await until(() => app.missions.list().missions[0]?.instance !== null)
    const { instance } = app.missions.list().missions[0]!
    const ask = async (missionId: string, attempt: number) => await log.send(instance!, JSON.stringify({ type: 'cancel', call: 'c', from: 'peer', missionId, attempt, kind: 'request' }))
    await ask('unknown', 1)
    await ask('a', 2)
    await ask('a', 1)
    await until(() => answers.filter((text) => text.includes('cancelled')).length === 3)
    t.strictSame(answers.filter((text) => text.includes('cancelled')).map((text) => JSON.parse(text).result), ['not_found', 'not_found', 'requested'])
  })
})

const ALERT = {
  category: 'mission', severity: 'warning', message: 'm', metric: null, value: null, threshold: null, details: null, alertId: 'alert_1', rule: 'mission_active', state: 'firing'
}

t.test('a process that falls too far behind loads everything again, and its clients get a gap and a snapshot', async (t) => {
  const backplane = createMemoryBackplane()
  const process = await startProcess(t, backplane)
  const client = await (await connect(process.app)).subscribe('mission_update', 'health_delta')
  const peer = await joinAs(t, backplane, 'peer')
  await peer.append(stepOf('a', 'planning_started'))
  await client.next('mission_update')
  process.backplane.only = ['read']
  process.backplane.fault = 'silent'
  for (let i = 0; i < 8_300; i++) await peer.append(stepOf('a', 'execution_progress', { isReliable: false, state: JSON.stringify({ name: `n${i}`, startedAt: 1, updatedAt: i }) }))
  await peer.append(stepOf('b', 'planning_started'), stepOf('b', 'completed'))
  process.backplane.fault = 'none'
  const gap = await client.next('subscription_gap', ({ payload }) => payload.channel === 'mission_update')
  t.match(gap.payload, { cause: 'trimmed' })
  const snapshot = [await client.next('mission_update', ({ payload }) => payload.snapshot === true), await client.next('mission_update', ({ payload }) => payload.snapshot === true)]
  t.strictSame(snapshot.map(({ payload: { missionId, status, name } }) => [missionId, status, name]), [['a', 'execution_progress', 'n8299'], ['b', 'completed', 'peer']])
  t.match(process.app.missions.stats(), { active: 1, completed: 1, total: 2 })
})

t.test('what a process keeps of the log is bounded', async (t) => {
  const shared = (id: string, tenant: string | null, status: MissionStatus, endedAt?: number) => new SharedMission({
    id,
    tenant,
    attempt: 1,
    status,
    seq: 1,
    owner: 'o',
    isRun: false,
    startedAt: 1,
    sequence: 1,
    offset: 1,
    tenantOffset: 1,
    state: JSON.stringify({ name: 'n', startedAt: 0, updatedAt: 0, ...(endedAt !== undefined && { endedAt }) })
  }, () => true)

  t.test('ended missions are forgotten by number and age, those of a busy tenant first', async (t) => {
    const clock = createVirtualClock(1_000_000)
    const forgotten: string[] = []
    const ended = new EndedShared({
      clock,
      deadlines: new DeadlineQueue(clock),
      options: { endedRetentionMs: 1_000, maxEnded: 100 },
      endedIds: { max: 10, maxAgeMs: 5_000 },
      forget: ({ id }) => { forgotten.push(id) }
    })
    const quiet = shared('quiet', 'acme', 'completed')
    ended.put(quiet)
    for (let i = 0; i < 10; i++) ended.put(shared(`busy${i}`, 'globex', 'completed'))
    t.equal(ended.size, 9)
    t.notOk(forgotten.includes('quiet'))
    t.strictSame(ended.takeForgotten().map(({ id }) => id), forgotten)
    t.strictSame(ended.takeForgotten(), [])
    t.equal(ended.isListed(quiet), true)
    clock.advance(1_000)
    t.equal(ended.isListed(quiet), false, 'it is not listed any more')
    t.equal(ended.size, 9, 'but known')
    clock.advance(4_000)
    ended.trim()
    t.equal(ended.size, 0)
    ended.put(shared('old', null, 'completed', clock.now() - 4_999))
    clock.advance(1)
    ended.trim()
    t.equal(ended.size, 0, 'the age counts from the ending')
  })

  t.test('recent entries of quiet tenants are not displaced by busy ones', async (t) => {
    const clock = createVirtualClock(1_000_000)
    const recent = new RecentEntries(clock, { maxMessages: 10, maxBytes: 100_000, maxAgeMs: 1_000 })
    const entry = (tenant: string | null, offset: number, tenantOffset: number) =>
      ({ ...publicationOf('mission_update', 'x', { tenant }), sequence: offset, offset, tenantOffset })
    recent.put(entry('acme', 1, 1), clock.now())
    for (let i = 1; i <= 10; i++) recent.put(entry('globex', i + 1, i), clock.now())
    t.strictSame(recent.of('mission_update', 'acme').map(({ entry: { tenantOffset } }) => tenantOffset), [1])
    t.strictSame(recent.of('mission_update', 'globex').map(({ entry: { tenantOffset } }) => tenantOffset), [3, 4, 5, 6, 7, 8, 9, 10])
    t.equal(recent.of('mission_update', undefined).length, 10)
    t.strictSame(recent.of('anomaly_alert', undefined), [])
    t.strictSame(recent.of('mission_update', 'nobody'), [])
    clock.advance(1_001)
    recent.put(entry('initech', 12, 1), clock.now())
    t.strictSame(recent.of('mission_update', undefined).map(({ entry: { offset } }) => offset), [12])
    recent.put(entry('initech', 14, 3), clock.now())
    t.strictSame(recent.of('mission_update', 'initech').map(({ entry: { tenantOffset } }) => tenantOffset), [3], 'only what has no hole')
    for (let i = 0; i < 12; i++) recent.put(entry(`t${i}`, 15 + i, 1), clock.now())
    recent.load([], 0)
    t.strictSame(recent.of('mission_update', 'initech'), [])
  })

  t.test('the counts of idle tenants are forgotten, the oldest first', async (t) => {
    const counts = new SharedCounts()
    counts.started('active')
    for (let i = 0; i < 10_000; i++) {
      counts.started(`t${i}`)
      counts.ended(`t${i}`, 'completed', 1)
    }
    t.match(counts.read('t0'), { completed: 0 })
    t.match(counts.read('t1'), { completed: 1 })
    t.match(counts.read('active'), { active: 1 })
    t.match(counts.read(), { active: 1, completed: 10_000, durationSumMs: 10_000 })
    counts.started('t1')
    counts.replaced('t1')
    t.match(counts.read('t1'), { active: 0, cancelled: 1 })
    counts.load([{ tenant: null, active: 3, completed: 1, cancelled: 0, errors: 0, durationSumMs: 4 }, { tenant: 'x', active: 2, completed: 0, cancelled: 0, errors: 0, durationSumMs: 0 }])
    t.match([counts.read().active, counts.read('x').active, counts.read('t1').active], [3, 2, 0])
  })

  t.test('the outbox drops progress first and endings last', async (t) => {
    const outbox = new StepOutbox({ maxSteps: 10, maxBytes: 1_000 })
    const mission = {} as PendingStep['mission']
    const step = (name: string, more: Partial<PendingStep> = {}): PendingStep => ({
      mission, isEnding: false, isReliable: true, isStart: false, bytes: 1, update: { missionId: name } as PendingStep['update'], build: () => { throw new Error('not sent') }, ...more
    })
    const names = () => outbox.steps().map(({ update }) => update!.missionId)
    for (let i = 0; i < 4; i++) outbox.put(step(`progress${i}`, { isReliable: false }))
    for (let i = 0; i < 7; i++) outbox.put(step(`step${i}`))
    t.strictSame(names(), ['progress2', 'progress3', 'step0', 'step1', 'step2', 'step3', 'step4', 'step5', 'step6'])
    t.equal(outbox.takeDropped()!.isGap, false, 'clients miss nothing that must reach them')
    t.equal(outbox.takeDropped(), undefined)
    for (let i = 0; i < 9; i++) outbox.put(step(`ending${i}`, { isEnding: true }))
    t.strictSame(names(), ['step6', 'ending0', 'ending1', 'ending2', 'ending3', 'ending4', 'ending5', 'ending6', 'ending7', 'ending8'])
    t.equal(outbox.droppedEndings, 0)
    outbox.put(step('large', { bytes: 2_000, mission: undefined }))
    t.strictSame(names(), ['ending0', 'ending1', 'ending2', 'ending3', 'ending4', 'ending5', 'ending6', 'ending7', 'ending8'])
    for (let i = 9; i < 12; i++) outbox.put(step(`ending${i}`, { isEnding: true }))
    t.equal(outbox.droppedEndings, 2)
    t.strictSame(outbox.takeDropped(), { missions: new Set([mission]), isGap: true })
    t.strictSame(outbox.take(2, 100).map(({ update }) => update!.missionId), ['ending2', 'ending3'])
    t.equal(outbox.bytes, outbox.length)
  })
})

t.test('when a mission has ended is read from its state whatever the host has put into it', async (t) => {
  const text = (rest: object) => JSON.stringify({ name: 'job', startedAt: 1, updatedAt: 2, ...rest })
  const trap = { endedAt: 5, name: 'x', startedAt: 1, updatedAt: 2, job: { name: 'x', startedAt: 1, updatedAt: 2, endedAt: 5, rows: 1 } }
  for (const name of ['job', '","endedAt":5,"', '\\', '\\","startedAt":1,"updatedAt":2,"endedAt":5,"', 'ä\n"']) {
    t.equal(readEndedAt(text({ name, endedAt: 3, durationMs: 2 })), 3, name)
    t.equal(readEndedAt(text({ name, metadata: trap, endedAt: 3 })), 3, `${name}, not at the beginning`)
    t.equal(readEndedAt(text({ name, metadata: trap })), null, `${name}, and no time`)
  }
  t.equal(readEndedAt('{"name":"job","startedAt":1,"updatedAt":2,"endedAt":"3","durationMs":2}'), null)
  t.equal(readEndedAt('garbage'), null)
  const backplane = createMemoryBackplane()
  const { app } = await startProcess(t, backplane)
  const mission = app.missions.start({ id: 'a', name: 'import "x"', metadata: trap })
  mission.complete()
  await mission.settled()
  const { log } = await joinAs(t, backplane, 'peer')
  for await (const page of log.states()) {
    const beginning = `{"name":"import \\"x\\"","startedAt":${mission.view().startedAt},"updatedAt":${mission.view().updatedAt},"endedAt":${mission.view().endedAt},`
    t.match(page, [{ id: 'a', state: beginning }], 'found without reading what follows')
  }
})

t.test('the process that looks after the log removes what it has forgotten', async (t) => {
  const backplane = createMemoryBackplane({ leaseMs: 300 })
  const process = await startProcess(t, backplane, { websocket: { history: { maxMessages: 3 } } })
  for (let i = 0; i < 8; i++) {
    const mission = process.app.missions.start({ id: `m${i}`, name: 'import' })
    mission.complete()
    await mission.settled()
  }
  await until(() => process.backplane.calls.includes('remove'))
  const { log } = await joinAs(t, backplane, 'peer')
  const stored = async (): Promise<string[]> => {
    const ids: string[] = []
    for await (const page of log.states()) ids.push(...page.map(({ id }) => id))
    return ids
  }
  let ids = await stored()
  while (ids.length > 3) {
    // It may take another round of removing, which runs by a timer.
    await new Promise((resolve) => setImmediate(resolve))
    ids = await stored()
  }
  t.ok(ids.includes('m7'))
  t.match(process.app.missions.stats(), { completed: 8, total: 8 }, 'they stay counted')
})

t.test('a process that can not join under its new identity at once tries again', async (t) => {
  const backplane = createMemoryBackplane({ leaseMs: 300 })
  const [one, two] = [await startProcess(t, backplane), await startProcess(t, backplane)]
  const reported = one.app.missions.start({ id: 'a', name: 'import' })
  await until(() => two.app.missions.stats().active === 1)
  const before = two.app.missions.list().missions[0]!.instance
  one.backplane.fault = 'silent'
  await until(() => two.app.missions.list().missions[0]!.instance !== before)
  one.backplane.only = ['join']
  one.backplane.fault = 'refused'
  await until(() => one.backplane.calls.filter((name) => name === 'join').length > 2)
  one.backplane.fault = 'none'
  reported.complete()
  t.match(await reported.settled(), { status: 'completed' })
  await until(() => two.app.missions.stats().completed === 1)
})

t.test('a backplane that no second try can help refuses to boot', async (t) => {
  for (const [Refusal, code] of [[errors.BackplaneIncompatible, 'FST_MC_BACKPLANE_INCOMPATIBLE'], [errors.InvalidOption, 'FST_MC_INVALID_OPTION']] as const) {
    const memory = createMemoryBackplane()
    const refusing: Backplane = {
      leaseMs: memory.leaseMs,
      connect: (context) => new Proxy(memory.connect(context), {
        get: (log, name: keyof SharedLog) => name === 'join' ? async () => { throw new Refusal('x') } : (log[name] as () => unknown).bind(log)
      })
    }
    await t.rejects(startProcess(t, refusing), { code })
    await t.rejects(connectReporter({ backplane: refusing }), { code })
  }
})

t.test('entries that the backplane itself drops are counted', async (t) => {
  const memory = createMemoryBackplane()
  let drop = (_count: number): void => {}
  const dropping: Backplane = {
    leaseMs: memory.leaseMs,
    connect (context) {
      drop = context.onDropped!
      return memory.connect(context)
    }
  }
  const { app } = await startProcess(t, dropping)
  drop(3)
  t.match((await app.inject('/api/v1/metrics/prometheus')).body, /backplane_entries_broken_total 3\n/)
})

t.test('a process that was fenced while an answer was missing neither loses steps nor appends them twice', async (t) => {
  for (const isAppended of [true, false]) {
    const backplane = createMemoryBackplane({ leaseMs: 300 })
    const [one, two] = [await startProcess(t, backplane), await startProcess(t, backplane)]
    const client = await (await connect(two.app)).subscribe('mission_update')
    const mission = one.app.missions.start({ id: 'a', name: 'import' })
    await client.next('mission_update')
    // Its answers do not come any more, although the log may have taken the step.
    if (!isAppended) one.backplane.fault = 'silent'
    mission.note('once')
    if (isAppended) await client.next('mission_update')
    one.backplane.fault = 'silent'
    mission.planned()
    await until(() => two.app.missions.list().missions[0]!.instance !== one.app.missions.list().missions[0]!.instance || two.app.missions.stats().active === 1)
    one.backplane.fault = 'none'
    mission.complete()
    t.match(await mission.settled(), { status: 'completed' })
    await client.next('mission_update', ({ payload }) => payload.status === 'completed')
    const notes = client.received.filter((message) => message.type === 'mission_update' && message.payload.note !== undefined)
    t.equal(notes.length, 1)
  }
})
