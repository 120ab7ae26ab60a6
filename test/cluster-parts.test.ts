import Fastify from 'fastify'
import t from 'tap'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import type { Backplane, SharedLog } from '../lib/backplane/contract.js'
import { systemClock } from '../lib/base/clock.js'
import type { SubscriptionState } from '../lib/hub/delivery/catch-up.js'
import { MessageEnvelope } from '../lib/hub/wire/envelope.js'
import type { LoggedMessage, Message } from '../lib/hub/wire/message.js'
import type { ChannelName } from '../schemas/index.js'
import { Duties } from '../lib/cluster/duties.js'
import { RecentEndings } from '../lib/cluster/log/recent-endings.js'
import { Repair } from '../lib/cluster/log/repair.js'
import { Restatements } from '../lib/cluster/log/restatements.js'
import { UncertainBatch } from '../lib/cluster/log/uncertain-batch.js'
import { SharedCounts } from '../lib/cluster/picture/shared-counts.js'
import missionControl, { createVirtualClock } from '../lib/index.js'
import { SharedMission } from '../lib/missions/index.js'
import { createCore } from '../lib/core.js'
import { CallbackErrors } from '../lib/base/callback-errors.js'
import { resolveOptions } from '../lib/base/options.js'
import { readReached } from '../lib/missions/state/shared/mission-copy.js'
import { connectReporter } from '../lib/reporter.js'
import { connect } from './support/client.js'
import { startProcess, startProcesses, until } from './support/cluster.js'
import { OutboxStand } from './support/outbox-stand.js'

t.test('everything that a mission has is known in every process', async (t) => {
  const [one, two] = await startProcesses(t, 2)
  const mission = one!.app.missions.start({
    id: 'a',
    name: 'import',
    tags: Array.from({ length: 80 }, (_, at) => `tag${at}`),
    metadata: { file: 'x.csv' },
    timeoutMs: 60_000,
    queuedAt: Date.now() - 1_000
  })
  mission.annotate({ rows: 3 })
  for (let i = 0; i < 25; i++) mission.note(`note ${i}`)
  for (let i = 1; i <= 205; i++) mission.progress({ taskId: `t${i}`, index: i, total: 205, status: 'completed' })
  mission.waiting('for a disk')
  await until(() => two!.app.missions.list().missions[0]?.waiting === 'for a disk')
  const [view] = two!.app.missions.list().missions
  t.strictSame({ ...view, seq: 0, instance: null }, { ...mission.view(), seq: 0, instance: null })
  t.match(view, { tagsOmitted: 70, notesOmitted: 5, tasksOmitted: 5 })
  t.strictSame({ ...two!.app.missions.get('a')!.view(), seq: 0 }, { ...view, seq: 0 })
  const client = await (await connect(two!.app)).subscribe('mission_update')
  t.match((await client.next('mission_update')).payload, { missionId: 'a', snapshot: true, metadata: { file: 'x.csv', rows: 3 } })
})

t.test('the times of statuses from another process are used only if they can be right', async (t) => {
  const read = (reached: number[]) => readReached({ name: 'job', startedAt: 1_000, updatedAt: 1_000, reached })
  t.strictSame(read([0, 0, 4, 20]), [0, 1_000, 4, 1_020])
  for (const reached of [[0], [8, 5], [-1, 5], [0, 0, 99, 1]]) t.equal(read(reached), undefined, String(reached))
})

t.test('a subscriber of some missions gets those of other processes, and a parent of another tenant stays hidden', async (t) => {
  const access = { identify: ({ headers }: { headers: Record<string, unknown> }) => headers['x-tenant'] === undefined ? { id: 'o' } : { id: 'u', tenant: String(headers['x-tenant']) } }
  const [one, two] = await startProcesses(t, 2, { access: access as never, routes: { missions: '/missions' } })
  one!.app.missions.start({ id: 'parent', name: 'import', tenant: 'acme' })
  one!.app.missions.start({ id: 'child', name: 'file', tenant: 'acme', parentId: 'parent' })
  one!.app.missions.start({ id: 'foreign', name: 'file', tenant: 'globex', parentId: 'parent' })
  one!.app.missions.start({ id: 'orphan', name: 'file', tenant: 'globex', parentId: 'unknown' })
  one!.app.missions.start({ id: 'free', name: 'file', parentId: 'unknown' })
  await until(() => two!.app.missions.stats().active === 5)
  t.equal(two!.app.missions.get('child')!.parentId, 'parent')
  const read = async (tenant?: string) => Object.fromEntries((await two!.app.inject({ url: '/missions', headers: tenant === undefined ? {} : { 'x-tenant': tenant } })).json()
    .missions.map(({ id, parentId, instance }: { id: string, parentId: string | null, instance: string | null }) => [id, [parentId, instance === null]]))
  t.strictSame(await read('acme'), { parent: [null, true], child: ['parent', true] })
  t.strictSame(await read('globex'), { foreign: [null, true], orphan: [null, true] })
  t.match(await read(), { child: ['parent', false], foreign: ['parent', false], free: ['unknown', false] })
  const client = await connect(two!.app, { headers: { 'x-tenant': 'acme' } })
  client.send({ type: 'subscribe', channels: ['mission_update'], filter: { missionIds: ['child', 'foreign', 'nothing'] } })
  t.match((await client.next('subscription_ack')).payload, { messages: 1 })
  t.match((await client.next('mission_update')).payload, { missionId: 'child', parentId: 'parent', instance: undefined })
  const operator = await connect(two!.app)
  const { instance } = one!.app.missions.get('free')!.view()
  for (const [viewer, expected] of [[client, undefined], [operator, instance]] as const) {
    viewer.send({ type: 'mission_get', id: 'q', missionId: 'child' })
    t.equal((await viewer.next('mission_update', ({ replyTo }) => replyTo === 'q')).payload.instance, expected)
  }
  operator.send({ type: 'subscribe', channels: ['mission_update'], filter: { missionIds: ['free'] } })
  t.equal((await operator.next('mission_update')).payload.instance, instance)
  await client.subscribe('mission_update')
  one!.app.missions.start({ id: 'later', name: 'file', tenant: 'acme' })
  t.match((await client.next('mission_update', ({ payload }) => payload.missionId === 'later')).payload, { seq: 1, instance: undefined })
})

t.test('two processes that use one id for two tenants at the same time do not share a mission', async (t) => {
  const [one, two] = await startProcesses(t, 2)
  const first = one!.app.missions.start({ id: 'a', name: 'secret', tenant: 'acme' })
  const second = two!.app.missions.start({ id: 'a', name: 'import', tenant: 'globex' })
  t.match(await second.done, { status: 'cancelled', cancel: { kind: 'superseded' } })
  t.equal(second.name, 'import')
  await second.settled()
  first.complete()
  t.match(await first.settled(), { status: 'completed' })
})

t.test('what the host publishes for a tenant reaches its clients in every process', async (t) => {
  const access = { identify: ({ headers }: { headers: Record<string, unknown> }) => ({ id: 'u', tenant: String(headers['x-tenant']) }) }
  const [one, two] = await startProcesses(t, 2, { access: access as never })
  const clients = await Promise.all(['acme', 'globex'].map(async (tenant) => await (await connect(two!.app, { headers: { 'x-tenant': tenant } })).subscribe('mission_update')))
  one!.app.missionControl.publish('mission_update', { missionId: 'x', name: 'legacy', status: 'completed', seq: 7 }, { tenant: 'acme' })
  t.match(await clients[0]!.next('mission_update'), { payload: { missionId: 'x' }, position: { offset: 1 } })
  t.strictSame(await clients[1]!.settle(), [])
  one!.app.missionControl.publish('mission_update', { missionId: 'x', name: 'legacy', status: 'completed', seq: 8 }, { tenant: 'nobody' })
  await one!.app.missionControl.publish('mission_update', { missionId: 'x', name: 'legacy', status: 'execution_progress', seq: 9 }, { tenant: 'acme' })
  t.notOk((await clients[0]!.next('mission_update')).position)
  const late = await connect(one!.app, { headers: { 'x-tenant': 'acme' } })
  late.send({ type: 'subscribe', channels: ['mission_update'], filter: { missionIds: ['unknown'] } })
  t.match((await late.next('subscription_ack')).payload, { asOf: { offset: 1 }, messages: 0 })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(missionControl, { access: access as never })
  app.missions.start({ id: 'foreign', name: 'import', tenant: 'globex' })
  const alone = await connect(app, { headers: { 'x-tenant': 'acme' } })
  alone.send({ type: 'subscribe', channels: ['mission_update'], filter: { missionIds: ['unknown', 'foreign'] } })
  t.match((await alone.next('subscription_ack')).payload, { messages: 0 })
})

t.test('states that are read twice count once, and the newer one wins', async (t) => {
  const memory = createMemoryBackplane()
  const first = await startProcess(t, memory)
  const mission = first.app.missions.start({ id: 'a', name: 'import' })
  await until(() => first.app.missions.list().missions[0]?.instance !== null)
  const twice: Backplane = {
    leaseMs: memory.leaseMs,
    connect (context) {
      const log = memory.connect(context)
      return new Proxy(log, {
        get: (target, name: keyof SharedLog) => name !== 'states'
          ? (target[name] as () => unknown).bind(target)
          : async function * () {
            for await (const page of target.states()) {
              yield page
              yield page.map((stored) => ({ ...stored, sequence: stored.sequence - 1, status: 'planned' as const }))
            }
          }
      })
    }
  }
  const second = await startProcess(t, twice)
  t.match(second.app.missions.list().missions, [{ id: 'a', status: 'planning_started' }])
  mission.complete()
  await mission.settled()
})

t.test('more active tenants than idle ones are kept stay counted', async (t) => {
  const counts = new SharedCounts()
  for (let i = 0; i <= 10_000; i++) counts.started(`t${i}`)
  t.equal(counts.read('t0').active, 1)
})

t.test('dropped progress is no gap', async (t) => {
  const appended: unknown[] = []
  const restatements = new Restatements({ picture: {} as never, reconciler: {} as never, append: (step) => { appended.push(step) } })
  restatements.afterDrop({ missions: new Set(), isGap: false })
  t.strictSame(appended, [])
  restatements.afterDrop({ missions: new Set(), isGap: true })
  t.equal(appended.length, 1)
})

t.test('an active mission that is silent is kept in the log by its owner once a day, a thousand at a time', async (t) => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const kept: string[] = []
  const owned = (owner: string, count: number, updatedAt: number) => Array.from({ length: count }, (_, at) => ({ id: `${owner}${at}`, updatedAt, isTerminal: at === 1 }))
  const missions = new Map([['me', owned('me', 1_500, clock.now())], ['other', owned('other', 3, clock.now())]])
  const known = new Map([...missions.values()].flat().map((mission) => [mission.id, mission]))
  const picture = {
    find: (id: string) => known.get(id),
    active: { owners: () => [...missions.keys()], ownedBy: (owner: string) => missions.get(owner) },
    ended: { trim () {}, takeForgotten: () => [] }
  }
  const duties = new Duties({
    clock,
    log: {} as never,
    picture: picture as never,
    registry: { find: (id: string) => ({ ...known.get(id), status: 'planned' }) } as never,
    membership: { isLeader: false, isOwn: (owner: string) => owner === 'me' } as never,
    append: ({ mission }) => { kept.push(mission!.id) }
  })
  duties.perform()
  clock.advance(86_400_000 - 1)
  duties.perform()
  t.strictSame(kept, [])
  clock.advance(1)
  known.set('me2', owned('me', 1, 0)[0]!)
  duties.perform()
  t.equal(kept.length, 998, 'one has ended, and another one is replaced')
  duties.perform()
  t.equal(kept.length, 1_498)
  t.ok(kept.every((id) => id.startsWith('me')))
  for (const mission of missions.get('me')!) mission.updatedAt = clock.now()
  clock.advance(86_400_000 - 1)
  duties.perform()
  clock.advance(1)
  kept.length = 0
  for (const mission of missions.get('me')!) mission.updatedAt = clock.now()
  duties.perform()
  t.strictSame(kept, [], 'none is silent')
})

t.test('endings are kept until the log is known to have them, however long it was away', async (t) => {
  const clock = createVirtualClock()
  const recent = new RecentEndings(clock)
  const ended = (id: string, isStored = true) => ({ id, isStored })
  const kept = () => recent.take().map(({ id }) => id)
  recent.put(ended('old') as never)
  clock.advance(60_000)
  t.strictSame(kept(), ['old'], 'the log was away')
  const open = ended('open', false)
  recent.put(open as never)
  recent.put(ended('new') as never)
  recent.confirmed()
  t.strictSame(kept(), ['open', 'new'])
  clock.advance(60_000)
  recent.confirmed()
  t.strictSame(kept(), ['open', 'new'], 'it is not stored yet')
  open.isStored = true
  recent.confirmed()
  t.strictSame(kept(), [])
  for (let at = 0; at < 10_001; at++) recent.put(ended(`m${at}`) as never)
  t.equal(kept().length, 10_000)
  t.equal(kept()[0], 'm1')
})

t.test('the ending of a shared mission is that of the mission, without what is not kept', async (t) => {
  const copy = { name: 'import', startedAt: 1, updatedAt: 3, endedAt: 3, durationMs: 2, metadata: { file: 'x' }, tags: ['a'], notes: [{ text: 'a note', at: 2 }] }
  const mission = new SharedMission({
    id: 'a', tenant: null, attempt: 1, status: 'completed', seq: 4, owner: 'x', isRun: false, startedAt: 1, sequence: 2, offset: 3, tenantOffset: 0, state: JSON.stringify(copy)
  }, () => true)
  const { at, subject, id, status, seq, firstSeq, metadata, notes, isStalled, waiting, update } = mission.toEnded(7, mission.subject)
  t.strictSame({ at, id, status, seq, firstSeq, metadata, notes, isStalled, waiting }, { at: 7, id: 'a', status: 'completed', seq: 4, firstSeq: 0, metadata: null, notes: undefined, isStalled: false, waiting: null })
  t.equal(subject, mission.subject)
  t.match(update, { missionId: 'a', status: 'completed', name: 'import', tags: ['a'], endedAt: 3, durationMs: 2 })
  t.notMatch(update, { metadata: {} })
})

t.test('a batch that was on its way when the log was loaded again, and whose process was fenced, is not sent again', async (t) => {
  const batch = { number: 3, steps: [{ mission: { id: 'a' } }, { mission: undefined }] }
  let hasRead = false
  const done: unknown[] = []
  const uncertain = new UncertainBatch({
    picture: { position: { sequence: 7 } } as never,
    appender: { sending: batch, suspend: () => batch, open: () => { done.push('open') } } as never,
    reconciler: { hasRead: () => hasRead, reload: () => { done.push('reload') } } as never,
    outbox: { steps: () => [], putBack: () => { done.push('put back') } } as never,
    restatements: { afterLoss: (missions: Iterable<unknown>) => { done.push([...missions]) } } as never
  })
  const fence = (): unknown[] => {
    uncertain.suspend('x')
    uncertain.joined(7)
    return done.splice(0)
  }
  t.strictSame(fence(), ['put back', 'open'], 'it is not in the log')
  t.strictSame(uncertain.drop(), [])
  t.strictSame(fence(), ['reload', [{ id: 'a' }], 'open'], 'its state tells')
  hasRead = true
  t.strictSame(fence(), ['reload', 'open'], 'it is in the log')
})

t.test('a log that has lost entries is shown to clients when nothing is missing any more', async (t) => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const known = new Map<string, { id: string, attempt: number, status: string, isTerminal: boolean }>()
  const mission = (id: string, status: string, attempt = 1) => ({ id, attempt, status, isTerminal: status === 'completed' })
  let repaired = 0
  const repair = new Repair({ clock, picture: { find: (id: string) => known.get(id) } as never, onRepaired: () => { repaired++ } })
  const know = (...missions: Array<ReturnType<typeof mission>>) => { for (const one of missions) known.set(one.id, one) }
  know(mission('newer', 'planned', 2), mission('same', 'planned'), mission('ended', 'completed'))
  repair.compare([mission('newer', 'completed'), mission('same', 'planned'), mission('ended', 'error'), mission('gone', 'completed')] as never)
  repair.begin()
  t.equal(repaired, 1, 'nothing is missing')
  const lost = [mission('active', 'planned'), mission('back', 'completed'), mission('older', 'planned', 2)]
  know(mission('back', 'planned'), mission('older', 'planned'))
  repair.compare(lost as never)
  t.strictSame(repair.endings(), [lost[1]])
  repair.begin()
  for (const one of lost) {
    repair.followed()
    t.equal(repaired, 1)
    t.equal(repair.isRunning, true)
    know(one)
  }
  repair.begin()
  t.equal(repaired, 2)
  repair.followed()
  t.equal(repaired, 2)
  repair.compare([mission('dead', 'planned')] as never)
  repair.begin()
  clock.advance(4_999)
  t.equal(repaired, 2)
  clock.advance(1)
  t.equal(repaired, 3, 'its owner is dead')
  repair.compare([mission('dead', 'planned')] as never)
  repair.begin()
  repair.stop()
  clock.advance(5_000)
  t.equal(repaired, 3)
})

t.test('the logger of a reporter is silent by default, and one that throws harms nothing', async () => {
  const backplane = createMemoryBackplane()
  const { missions, close } = await connectReporter({ backplane })
  missions.start('work').log.info('hello')
  await close()
  const log = { trace () {}, debug () {}, info () {}, error () {}, warn () { throw new Error('no disk') }, child: () => log }
  const callbackErrors = new CallbackErrors(log)
  const away = { leaseMs: 15_000, connect: () => new Proxy({}, { get: () => async () => { throw new Error('away') } }) } as unknown as Backplane
  const options = { ...resolveOptions({ backplane: away }, {}), backplane: away }
  const clock = createVirtualClock()
  const core = createCore({ options, clock, log, access: { isRestricted: false, isNarrowed: false }, callbackErrors, defer: queueMicrotask })
  const starting = core.cluster!.start(1_000)
  await until(() => callbackErrors.read()['log'] === 1)
  clock.advance(1_000)
  await starting
  const closing = core.cluster!.close()
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(1_000)
  await closing
})

t.test('a process that closes while it joins under a new identity ends', async (t) => {
  const backplane = createMemoryBackplane({ leaseMs: 300 })
  const [one, two] = [await startProcess(t, backplane), await startProcess(t, backplane)]
  one.app.missions.start({ id: 'a', name: 'import' })
  await until(() => two.app.missions.stats().active === 1)
  const before = two.app.missions.list().missions[0]!.instance
  one.backplane.fault = 'silent'
  await until(() => two.app.missions.list().missions[0]!.instance !== before)
  one.backplane.only = ['join']
  one.backplane.fault = 'silent'
  await until(() => one.backplane.calls.filter((name) => name === 'join').length > 1)
  await one.app.close()
  one.backplane.fault = 'none'
  await new Promise((resolve) => setImmediate(resolve))
  t.match(two.app.missions.stats(), { active: 1 })
})

t.test('a process that closes while it loads the log renews no lease', async (t) => {
  const memory = createMemoryBackplane()
  const calls: string[] = []
  let answer!: () => void
  const backplane: Backplane = {
    leaseMs: memory.leaseMs,
    connect: (context) => Object.assign(memory.connect(context), {
      async read () {
        calls.push('read')
        await new Promise<void>((resolve) => { answer = resolve })
        return { outcome: 'batches', batches: [] }
      },
      async renew () { calls.push('renew') }
    })
  }
  const clock = createVirtualClock()
  const app = Fastify()
  await app.register(missionControl, { backplane, clock })
  const booting = app.ready()
  await until(() => calls.includes('read'))
  clock.advance(5_000)
  await booting
  await app.close()
  answer()
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(60_000)
  t.strictSame(calls, ['read'])
})

t.test('a restart of the log reaches a connection whatever it has pending', async (t) => {
  const open = () => {
    const stand = new OutboxStand()
    const texts: string[] = []
    const writer = { bufferedBytes: 0, write: () => -1, writeAll: (messages: readonly Message[]) => { texts.push(...messages.map(({ text }) => String(text))); return 1 } }
    const subscriptions = new Map<ChannelName, SubscriptionState>([['mission_update', { sequence: 1, offset: 1 }]])
    const outbox = stand.open({ writer, subscriptions })
    const envelope = new MessageEnvelope(stand.clock, { name: 'x', version: '1' })
    const publish = (isReliable: boolean) => {
      const position = isReliable ? stand.log.nextPosition('mission_update') : undefined
      const message = envelope.message('mission_update', { payload: { missionId: 'a' } } as never, { channel: 'mission_update', position, key: isReliable ? undefined : 'a', epoch: stand.log.epoch })
      if (isReliable) stand.log.append(message as LoggedMessage)
      outbox.send(message)
    }
    const flush = async () => { for (let turn = 0; turn < 60; turn++) await new Promise((resolve) => setImmediate(resolve)) }
    const restart = () => outbox.restart('mission_update', { cause: 'epoch_changed', after: 50 })
    const gaps = () => texts.filter((text) => text.includes('subscription_gap')).length
    return { outbox, publish, flush, restart, gaps, endingsAfter: stand.endingsAfter, states: stand.states, writer }
  }

  const closed = open()
  closed.outbox.close()
  closed.restart()
  await closed.flush()
  t.equal(closed.gaps(), 0)

  const idle = open()
  idle.restart()
  await idle.flush()
  t.strictSame([idle.gaps(), idle.endingsAfter.at(-1)], [1, 50])

  const slow = open()
  slow.publish(true)
  slow.publish(true)
  slow.writer.bufferedBytes = 1_000_000
  await slow.flush()
  slow.restart()
  slow.restart()
  slow.writer.bufferedBytes = 0
  slow.outbox.drained()
  await slow.flush()
  t.strictSame([slow.gaps(), slow.endingsAfter.at(-1)], [1, 0], 'the endings that were not sent yet are')

  const partial = open()
  for (let i = 0; i < 5_000; i++) partial.states.set(`mission-${i}`, i)
  partial.writer.writeAll = () => {
    partial.writer.bufferedBytes = 1_000_000
    return 1
  }
  partial.restart()
  await partial.flush()
  partial.restart()
  partial.writer.bufferedBytes = 0
  partial.outbox.drained()
  await partial.flush()
  t.strictSame(partial.endingsAfter, [50, 50], 'the endings of the snapshot that was not sent completely are sent again')

  const replaceable = open()
  replaceable.publish(false)
  replaceable.writer.bufferedBytes = 1_000_000
  await replaceable.flush()
  replaceable.restart()
  replaceable.writer.bufferedBytes = 0
  replaceable.outbox.drained()
  await replaceable.flush()
  t.strictSame([replaceable.gaps(), replaceable.endingsAfter.at(-1)], [1, 50])

  const [one] = await startProcesses(t, 1)
  const client = await (await connect(one!.app)).subscribe('mission_update', 'metrics_tick', 'health_delta')
  const mission = one!.app.missions.start({ id: 'a', name: 'import' })
  const { position } = await client.next('mission_update')
  const log = one!.backplane.connect({ clock: systemClock, onMessage () {}, onWarning () {} })
  await log.restart(position!.epoch)
  t.match((await client.next('subscription_gap', ({ payload }) => payload.channel === 'mission_update')).payload, { cause: 'epoch_changed' })
  mission.complete()
  await client.next('mission_update', ({ payload }) => payload.status === 'completed')
})
