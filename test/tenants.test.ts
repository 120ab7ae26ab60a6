import fc from 'fast-check'
import t from 'tap'
import { shrinkFairly } from '../lib/base/limits/fair-share.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { LogBudget } from '../lib/hub/history/log-budget.js'
import { MessageLog } from '../lib/hub/history/message-log.js'
import { Endings } from '../lib/missions/index.js'
import { MissionGroups } from '../lib/missions/tenants/groups.js'
import type { MissionUpdate } from '../schemas/index.js'
import { build } from './support/missions.js'

const holder = (size: number) => ({ size, shrinkTo (next: number) { this.size = next } })

t.test('a limit for many is shared fairly', async (t) => {
  const shrink = (sizes: number[], target: number) => {
    const holders = sizes.map(holder)
    shrinkFairly(holders, target)
    return holders.map(({ size }) => size)
  }

  t.test('the largest give up most, and those below the same level nothing', async (t) => {
    t.strictSame(shrink([100, 3, 2], 20), [15, 3, 2])
    t.strictSame(shrink([50, 40, 2], 22), [10, 10, 2])
    t.strictSame(shrink([5, 5, 5], 7), [2, 2, 2])
    t.strictSame(shrink([4, 1], 5), [4, 1])
    t.strictSame(shrink([4, 1], 50), [4, 1])
    t.strictSame(shrink([4, 1], 0), [0, 0])
    t.strictSame(shrink([], 5), [])
  })

  t.test('for any sizes, the sum fits, and nobody below the level loses anything', async (t) => {
    fc.assert(fc.property(fc.array(fc.nat(30), { maxLength: 9 }), fc.nat(100), (sizes, target) => {
      const left = shrink(sizes, target)
      const level = Math.max(0, ...left)
      const isFair = sizes.every((size, at) => left[at] === size || (left[at]! < size && left[at] === level))
      return isFair && left.reduce((sum, size) => sum + size, 0) <= target
    }))
    t.pass('no counter-example')
  })
})

t.test('missions of a tenant', async (t) => {
  t.test('are counted for the tenant and for everybody', async (t) => {
    const { missions, registry, clock } = build()
    const a = missions.start({ id: 'a', name: 'job', tenant: 'acme' })
    missions.start({ id: 'b', name: 'job', tenant: 'other' }).fail('broken')
    missions.start({ id: 'c', name: 'job' })
    const read = (tenant?: string) => registry.groups.read(tenant).read()
    t.match(read('acme'), { active: 1, completed: 0, errors: 0, total: 1 })
    t.match(read('other'), { active: 0, errors: 1, total: 1 })
    t.match(read(), { active: 2, errors: 1, total: 3 })
    t.match(read('unknown'), { total: 0, avgDurationMs: null })
    clock.advance(10)
    a.cancel()
    a.fail('too late')
    a.complete()
    t.match(read('acme'), { active: 0, cancelled: 0, errors: 1, lateOutcomes: 1, avgDurationMs: 10 })
    t.match(read(), { active: 1, errors: 2, lateOutcomes: 1, avgDurationMs: 5 })
  })

  t.test('that stall, are refused, or run untracked are counted too', async (t) => {
    const { missions, registry, clock } = build({ maxActive: 1, stallMs: 5 })
    const read = (tenant?: string) => registry.groups.read(tenant).read()
    missions.start({ name: 'job', tenant: 'acme' })
    clock.advance(20)
    t.throws(() => missions.start({ name: 'job', tenant: 'other' }), { code: 'FST_MC_TOO_MANY_MISSIONS' })
    t.match([read('acme'), read('other'), read()], [{ stalled: 1, refused: 0 }, { stalled: 0, refused: 1 }, { stalled: 1, refused: 1 }])
    await missions.run({ name: 'job', tenant: 'other' }, async (mission) => {
      mission.complete()
      mission.fail('too late')
    })
    t.match(read(), { untracked: 1, refused: 2, lateOutcomes: 0 }, 'what nobody tracks is counted once')
  })

  t.test('are listed as active, oldest first', async (t) => {
    const { missions, registry } = build()
    for (const [id, tenant] of [['a', 'acme'], ['b', 'other'], ['c', 'acme']] as const) missions.start({ id, name: 'job', tenant })
    const ids = (tenant?: string) => registry.queries.visible(tenant).map(({ id }) => id)
    t.strictSame([ids('acme'), ids('other'), ids('unknown'), ids()], [['a', 'c'], ['b'], [], ['a', 'b', 'c']])
    missions.get('a')!.complete()
    t.strictSame([ids('acme'), ids()], [['c'], ['b', 'c']])
  })

  t.test('send their updates to the listeners of the tenant and to those of everybody', async (t) => {
    const { missions, registry } = build({}, { isQuiet: true })
    const received: Record<string, string[]> = { acme: [], other: [], all: [] }
    const listen = (key: string, tenant?: string) => registry.updates.onUpdate(({ missionId, status }) => received[key]!.push(`${missionId} ${status}`), tenant)
    const stop = listen('acme', 'acme')
    const stopSecond = listen('acme', 'acme')
    missions.start({ id: 'a', name: 'job', tenant: 'acme' })
    missions.start({ id: 'b', name: 'job', tenant: 'other' })
    missions.start({ id: 'c', name: 'job' })
    t.strictSame(received, { acme: ['a planning_started', 'a planning_started'], other: [], all: [] })
    stopSecond()
    listen('all')
    listen('other', 'other')
    for (const id of ['a', 'b', 'c']) missions.get(id)!.complete()
    t.strictSame(received, {
      acme: ['a planning_started', 'a planning_started', 'a completed'], other: ['b completed'], all: ['a completed', 'b completed', 'c completed']
    })
    stop()
    stop()
    missions.start({ id: 'd', name: 'job', tenant: 'acme' })
    t.equal(received['acme']!.length, 3)
    registry.close()
    missions.get('d')!.complete()
    t.equal(received['all']!.length, 4, 'nobody listens after the close')
  })

  t.test('have children in the same tenant, and a new attempt stays in it', async (t) => {
    const { missions } = build()
    const parent = missions.start({ id: 'parent', name: 'job', tenant: 'acme' })
    t.equal(parent.child('part').tenant, 'acme')
    t.equal(parent.child({ name: 'part', tenant: 'other' }).tenant, 'other')
    t.equal(missions.start({ name: 'part', parentId: 'parent' }).tenant, 'acme')
    missions.report('reported', 'execution_started', { parentId: 'parent' })
    t.equal(missions.get('reported')!.tenant, 'acme')
    t.equal(missions.start({ id: 'parent', name: 'job', attempt: 'next' }), parent, 'still active')
    parent.complete()
    t.equal(missions.start({ id: 'parent', name: 'job', attempt: 'next' }).tenant, 'acme')
  })

  t.test('do not show a parent of another tenant', async (t) => {
    const { missions, updatesOf } = build()
    missions.start({ id: 'parent', name: 'batch' })
    const known = missions.start({ id: 'known', name: 'part', parentId: 'parent', tenant: 'acme' })
    missions.start({ id: 'early', name: 'part', parentId: 'late', tenant: 'acme' })
    missions.start({ id: 'own', name: 'part', parentId: 'late', tenant: 'other' })
    missions.start({ id: 'late', name: 'batch', tenant: 'other' })
    for (const id of ['known', 'early', 'own']) missions.get(id)!.complete()
    t.equal(known.parentId, 'parent', 'the host knows it')
    t.equal(updatesOf('known')[0]!.parentId, undefined)
    const shown = (id: string) => missions.get(id)!
    t.strictSame(['known', 'early', 'own'].map((id) => shown(id).parentId), ['parent', 'late', 'late'])
    missions.start({ id: 'loose', name: 'part', tenant: 'acme' })
    missions.report('loose', 'execution_started', { parentId: 'parent' })
    t.notOk(updatesOf('loose').some(({ parentId }) => parentId !== undefined))
    missions.get('parent')!.cancel()
    t.ok(missions.get('loose')!.signal.aborted, 'and it is cancelled with it')
  })

  t.test('do not show a parent that may be of another tenant', async (t) => {
    const { missions, updatesOf } = build({ maxEnded: 0 }, { hidesUnknownParents: true })
    const parents = (id: string) => updatesOf(id).map(({ parentId }) => parentId)
    missions.start({ id: 'forgotten', name: 'batch', tenant: 'other' }).complete()
    missions.start({ id: 'orphan', name: 'part', parentId: 'forgotten', tenant: 'acme' })
    t.strictSame(parents('orphan'), [undefined])
    missions.start({ id: 'mine', name: 'part', parentId: 'late', tenant: 'other' })
    missions.start({ id: 'foreign', name: 'part', parentId: 'late', tenant: 'acme' })
    missions.start({ id: 'nobodys', name: 'part', parentId: 'late' })
    missions.start({ id: 'ended', name: 'part', parentId: 'late', tenant: 'other' })
    missions.on('mission_update', ({ missionId, parentId }) => {
      if (missionId === 'mine' && parentId !== undefined) missions.get('ended')!.complete()
    })
    missions.start({ id: 'late', name: 'batch', tenant: 'other' })
    t.strictSame(parents('mine'), [undefined, 'late'], 'it is sent when it becomes known')
    t.strictSame(parents('foreign'), [undefined])
    t.strictSame(parents('nobodys'), ['late'], 'operators see everything')
    t.strictSame(updatesOf('ended').map(({ status }) => status), ['planning_started', 'completed'])
    missions.get('late')!.complete()
    missions.start({ id: 'late', name: 'batch', tenant: 'other', attempt: 2 })
    t.equal(parents('mine').length, 2, 'it is known already')
  })

  t.test('an attempt in another tenant knows nothing of the one before it', async (t) => {
    const { missions, updatesOf } = build()
    missions.start({ id: 'a', name: 'secret', objective: 'secret', tags: ['secret'], metadata: { secret: true }, tenant: 'acme' }).fail('secret')
    const next = missions.start({ id: 'a', name: 'job', attempt: 'next', tenant: 'other' })
    t.match(next.view(), { attempt: 2, attempts: [], attemptsOmitted: 0, objective: null, tags: [], metadata: null, tenant: 'other' })
    const live = missions.start({ id: 'a', name: 'job', attempt: 3, tenant: 'third' })
    t.match(live.view(), { attempt: 3, attempts: [], attemptsOmitted: 0 })
    t.notMatch(JSON.stringify(updatesOf('a').slice(2)), 'secret')
  })
})

t.test('what a mission is judged by is the same from its first report to its ending', async (t) => {
  const { missions, registry, clock } = build()
  const subjectOf = (id: string) => registry.find(id)!.subject
  missions.start({ id: 'a', name: 'job', tenant: 'acme', tags: ['x'], metadata: { owner: 'ann' } })
  const subject = subjectOf('a')
  t.strictSame(subject, { id: 'a', name: 'job', tenant: 'acme', tags: ['x'], metadata: { owner: 'ann' } })
  missions.get('a')!.annotate({ owner: 'bob' })
  t.equal(subjectOf('a'), subject)
  missions.report('b', 'execution_started', { metadata: { owner: 'ann' } })
  missions.report('b', 'execution_progress', { metadata: { owner: 'bob' } })
  t.strictSame(subjectOf('b').metadata, { owner: 'ann' })
  for (const keepsSubjects of [true, false]) {
    const endings = new Endings({ clock, max: 10, maxAgeMs: 1_000, keepsSubjects })
    endings.put(registry.find('a')!, undefined)
    t.equal(endings.of().find('a')?.subject, keepsSubjects ? subject : undefined)
  }
})

t.test('the counts of idle tenants are bounded', async (t) => {
  const groups = new MissionGroups(undefined, 2)
  const { missions, registry } = build()
  const start = (tenant: string) => {
    missions.start({ id: tenant, name: 'job', tenant })
    groups.started(registry.find(tenant)!)
  }
  const end = (tenant: string) => {
    missions.get(tenant)!.complete()
    groups.ended(registry.find(tenant)!, registry.find(tenant)!.outcome!)
  }
  for (const tenant of ['a', 'b', 'c', 'd']) start(tenant)
  t.equal(groups.size, 4, 'those with an active mission are all kept')
  for (const tenant of ['c', 'a', 'b']) end(tenant)
  t.strictSame([...groups.tenants()].map(([tenant]) => tenant), ['a', 'b', 'd'], 'idle for the longest time: c')
  t.match(groups.read('a').read(), { completed: 1 })
  t.match(groups.read('c').read(), { total: 0 })
  t.match(groups.read(undefined).read(), { active: 1, completed: 3 })
})

t.test('endings of tenants', async (t) => {
  const setup = (max: number) => {
    const stand = build({ maxEnded: 0 })
    const { registry, clock, missions } = stand
    const endings = new Endings({ clock, max, maxAgeMs: 1_000, keepsSubjects: false })
    registry.updates.onEnded((mission, update) => endings.put(mission, update))
    let count = 0
    const end = (tenant: string | undefined, times = 1) => {
      for (let at = 0; at < times; at++) missions.start({ id: `${tenant} ${++count}`, name: 'job', ...(tenant !== undefined && { tenant }) }).complete()
    }
    return { ...stand, endings, end }
  }

  t.test('have the offsets of their own log', async (t) => {
    const { endings, end } = setup(100)
    const published: Record<string, MissionUpdate[]> = { all: [], acme: [] }
    endings.of().connect((update) => published['all']!.push(update), 0)
    end('acme')
    end('other', 3)
    endings.of('acme').connect((update) => published['acme']!.push(update), 0)
    end('acme')
    t.strictSame(endings.of().between(0, 9).map(({ id }) => id), ['acme 1', 'other 2', 'other 3', 'other 4', 'acme 5'])
    t.strictSame(endings.of('acme').between(0, 9).map(({ id }) => id), ['acme 5'], 'the first one ended before')
    t.strictSame(endings.of('acme').between(-1, 9).map(({ id }) => id), ['acme 1', 'acme 5'])
    t.equal(endings.of('acme').find('other 2'), undefined)
    t.strictSame(published['acme']!.map(({ missionId }) => missionId), ['acme 5'])
    endings.of('acme').disconnect()
    endings.of('acme').restart()
    endings.of('acme').connect(() => undefined, 0)
    t.strictSame(endings.of('acme').between(0, 9), [], 'a new log begins after all of them')
    t.equal(endings.of('acme').between(-1, 0).length, 2)
  })

  t.test('are bounded for all tenants together, and one with many takes none from one with few', async (t) => {
    const { endings, end } = setup(100)
    end('small', 5)
    end('large', 500)
    end(undefined, 3)
    t.equal(endings.of('small').size, 5)
    t.ok(endings.of('large').size <= 95 && endings.of('large').size >= 90, `${endings.of('large').size} kept`)
    t.equal(endings.of().size, 100)
    t.equal(endings.of('large').find('large 505')?.id, 'large 505', 'the newest are kept')
  })

  t.test('cost nothing for a tenant that is gone', async (t) => {
    const { endings, end } = setup(100)
    for (let at = 0; at < 1_000; at++) end(`tenant ${at}`)
    t.ok(endings.tenantCount <= 100, `${endings.tenantCount} tenants`)
  })
})

t.test('ended missions of a busy tenant take no room from those of others', async (t) => {
  const { missions } = build({ maxEnded: 20 })
  const idsOf = (tenant?: string) => missions.list({ limit: 200, ...(tenant !== undefined && { tenant }) }).missions.map(({ id }) => id)
  for (let at = 0; at < 5; at++) missions.start({ id: `small ${at}`, name: 'job', tenant: 'small' }).complete()
  for (let at = 0; at < 100; at++) missions.start({ id: `large ${at}`, name: 'job', tenant: 'large' }).complete()
  t.equal(idsOf('small').length, 5)
  t.ok(idsOf('large').length >= 14 && idsOf('large').length <= 15, `${idsOf('large').length} kept`)
  t.equal(idsOf('large')[0], 'large 99', 'the newest are kept')
  const alone = build({ maxEnded: 20 })
  for (let at = 0; at < 100; at++) alone.missions.start({ id: `m${at}`, name: 'job' }).complete()
  t.equal(alone.missions.views().length, 20, 'without tenants the limit is exact')
  const none = build({ maxEnded: 0 })
  for (const tenant of ['a', 'b', 'c']) none.missions.start({ name: 'job', tenant }).complete()
  t.equal(none.missions.views().length, 0)
})

t.test('message logs share a budget', async (t) => {
  const clock = createVirtualClock()
  const budget = new LogBudget({ maxMessages: 100, maxBytes: 10_000 })
  const create = () => new MessageLog({ clock, options: { maxMessages: 100, maxBytes: 10_000, maxAgeMs: 1_000 }, budget })
  const append = (log: MessageLog, times: number, bytes = 10) => {
    for (let at = 0; at < times; at++) {
      log.append({ channel: 'mission_update', position: log.nextPosition('mission_update'), id: 'x', bytes } as never)
    }
  }
  const [small, large] = [create(), create()]
  append(small, 10)
  append(large, 500)
  t.equal(small.size.messages, 10, 'a busy tenant does not shorten the history of another one')
  t.ok(large.size.messages >= 80 && large.size.messages <= 90, `${large.size.messages} messages`)
  t.equal(large.head('mission_update'), 500, 'the offsets go on')
  t.strictSame(budget.size, { messages: small.size.messages + large.size.messages, bytes: small.size.bytes + large.size.bytes })
  append(large, 1, 9_900)
  t.equal(small.size.messages, 10)
  t.ok(budget.size.bytes <= 10_000)
  large.close()
  t.strictSame(budget.size, small.size)
  append(small, 95)
  t.equal(small.size.messages, 100, 'its share grows, since the other has left')
  clock.advance(1_001)
  small.trim()
  t.strictSame(budget.size, { messages: 0, bytes: 0 })
})

t.test('an id that a mission of another tenant has is not shared', async (t) => {
  const { missions } = build()
  const theirs = missions.start({ id: 'a', name: 'theirs', tenant: 'acme' })
  t.equal(missions.start({ id: 'a', name: 'theirs', tenant: 'acme' }), theirs, 'in its own tenant it is')
  t.equal(missions.start({ id: 'a', name: 'theirs' }), theirs, 'without a tenant too')
  t.throws(() => missions.start({ id: 'a', name: 'mine', tenant: 'other' }), { code: 'FST_MC_TENANT_CONFLICT', statusCode: 409 })
  t.throws(() => missions.start({ id: 'mine', name: 'mine', tenant: 'other' }).child({ id: 'a', name: 'mine' }), { code: 'FST_MC_TENANT_CONFLICT' })
  let isTracked: boolean | undefined
  await missions.run({ id: 'a', name: 'mine', tenant: 'other' }, async (mission) => { isTracked = mission.isTracked })
  t.equal(isTracked, false, 'work runs in any case')
  t.strictSame(missions.report('a', 'completed', { tenant: 'other' }), { applied: false, reason: 'unknown' })
  t.strictSame(missions.report('a', 'completed', { tenant: 'other', attempt: 1 }), { applied: false, reason: 'unknown' })
  t.equal(theirs.status, 'planning_started')
  t.strictSame(missions.report('a', 'completed', { tenant: 'acme' }), { applied: true })
  missions.start({ id: 'free', name: 'job' })
  t.equal(missions.start({ id: 'free', name: 'job', tenant: 'other' }).tenant, null, 'a mission without a tenant keeps none')
})
