import t from 'tap'
import { CancelledError, EndedElsewhereError } from '../lib/index.js'
import type { ServerMessages } from '../schemas/index.js'
import { connect, type Client } from './support/client.js'
import { startProcesses, until, type Process } from './support/cluster.js'

type Update = ServerMessages['mission_update']

/** The updates of missions that have arrived so far. */
const updatesOf = async (client: Client): Promise<Update[]> =>
  (await client.settle()).filter((message): message is Update => message.type === 'mission_update')

const pair = async (...options: [Parameters<typeof startProcesses>[0], Parameters<typeof startProcesses>[2]?]) => {
  const [one, two] = await startProcesses(options[0], 2, options[1])
  return { one: one!.app, two: two!.app, processes: [one!, two!] as [Process, Process] }
}

t.test('one picture', async (t) => {
  t.test('clients of every process receive the same messages of a mission, with the same ids and offsets', async (t) => {
    const { one, two } = await pair(t)
    const clients = await Promise.all([one, two].map(async (app) => await (await connect(app)).subscribe('mission_update')))
    const mission = one.missions.start({ id: 'a', name: 'import', metadata: { file: 'x.csv' } })
    mission.planned({ steps: 3 })
    mission.progress({ taskId: 'rows', index: 1, total: 3, status: 'done' })
    mission.complete()
    await mission.settled()
    await two.missions.waitFor('a')
    const [first, second] = await Promise.all(clients.map(updatesOf))
    const content = (updates: Update[]) => updates.map(({ id, timestamp, position, payload }) => ({ id, timestamp, position, payload }))
    t.equal(first!.length, 4)
    t.strictSame(content(first!), content(second!))
    t.strictSame(first!.map(({ payload }) => payload.seq), [1, 2, 3, 4])
    t.strictSame(first!.map(({ position }) => position?.offset), [1, 2, 3, 4])
    const { instance } = mission.view()
    t.ok(instance)
    t.strictSame(first!.map(({ payload }) => payload.instance), [instance, undefined, undefined, undefined], 'the first one names the process')
  })

  t.test('a mission can be listed, read, followed, awaited and counted in every process', async (t) => {
    const { one, two } = await pair(t, { routes: { missions: '/missions' } })
    const mission = one.missions.start({ id: 'a', name: 'import', tags: ['nightly'], metadata: { file: 'x.csv' }, objective: 'all rows' })
    mission.note('begun', { rows: 2 })
    mission.progress({ taskId: 'rows', index: 1, total: 3, status: 'done' })
    await until(() => two.missions.list().missions[0]?.progress !== null && two.missions.list().missions.length === 1)
    const [view] = two.missions.list({ tag: 'nightly', q: 'ROWS' }).missions
    t.strictSame({ ...view, instance: null }, { ...mission.view(), instance: null })
    t.ok(view!.instance, 'the process that runs it is known')
    t.strictSame((await two.inject('/missions/a')).json().metadata, { file: 'x.csv' })
    const followed = two.missions.subscribe({ id: 'a' })
    t.equal((await followed.next()).value!.status, 'execution_progress')
    const awaited = two.missions.waitFor('a')
    t.match(two.missions.stats(), { active: 1, completed: 0, total: 1 })
    mission.complete()
    t.match(await awaited, { id: 'a', status: 'completed' })
    t.equal((await followed.next()).value!.status, 'completed')
    t.equal((await followed.next()).done, true)
    t.match(two.missions.stats(), { active: 0, completed: 1, total: 1 })
    t.same(two.missions.stats(), one.missions.stats())
  })

  t.test('the pages of a list go on in another process', async (t) => {
    const { one, two } = await pair(t)
    for (let i = 0; i < 10; i++) (i % 2 === 0 ? one : two).missions.start({ id: `m${i}`, name: 'job' })
    await until(() => one.missions.list().missions.length === 10 && two.missions.list().missions.length === 10)
    const ids: string[] = []
    let cursor: string | null = null
    for (let page = 0; page === 0 || cursor !== null; page++) {
      const { missions, nextCursor }: ReturnType<typeof one.missions.list> =
        (page % 2 === 0 ? one : two).missions.list({ limit: 3, ...(cursor !== null && { cursor }) })
      ids.push(...missions.map(({ id }) => id))
      cursor = nextCursor
    }
    t.strictSame(ids, one.missions.list().missions.map(({ id }) => id))
    t.equal(new Set(ids).size, 10)
  })

  t.test('a client reads one mission from any process, also one whose start is not in the log yet', async (t) => {
    const { one, two } = await pair(t)
    const client = await connect(two)
    one.missions.start({ id: 'a', name: 'import' })
    await until(() => two.missions.list().missions.length === 1)
    client.send({ type: 'mission_get', missionId: 'a', id: 'get' })
    t.match(await client.next('mission_update', ({ replyTo }) => replyTo === 'get'), { payload: { missionId: 'a', snapshot: true } })
    two.missions.start({ id: 'b', name: 'import' })
    client.send({ type: 'mission_get', missionId: 'b', id: 'own' })
    t.match(await client.next('mission_update', ({ replyTo }) => replyTo === 'own'), { payload: { missionId: 'b', snapshot: true } })
  })

  t.test('a report for a mission of another process is a step of that mission', async (t) => {
    const { one, two } = await pair(t)
    const mission = one.missions.start({ id: 'a', name: 'import' })
    await until(() => two.missions.get('a') !== undefined)
    t.strictSame(two.missions.report('a', 'execution_progress', { progress: 50 }), { applied: true })
    await until(() => mission.status === 'execution_progress')
    t.match(mission.view().progress, { fraction: 0.5 })
    two.missions.report('a', 'error', { error: { code: 'boom', message: 'it failed' } })
    t.match(await mission.done, { status: 'error', error: { code: 'boom' } })
    t.match(one.missions.stats(), { active: 0, errors: 1, total: 1 })
  })

  t.test('a host call neither waits for the backplane nor throws because of it', async (t) => {
    const { one, processes: [process] } = await pair(t)
    process.backplane.fault = 'refused'
    const mission = one.missions.start({ id: 'a', name: 'import' })
    t.strictSame(mission.progress(10), { applied: true })
    t.strictSame(mission.complete(), { applied: true })
    t.equal((await mission.done).status, 'completed')
    let isSettled = false
    const settled = mission.settled().then(() => { isSettled = true })
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(isSettled, false, 'the ending is not stored yet')
    process.backplane.fault = 'none'
    await settled
  })
})

t.test('one ending', async (t) => {
  t.test('the first ending in the log wins, and the process that was late learns it', async (t) => {
    const { one, two, processes: [process] } = await pair(t)
    const mission = one.missions.start({ id: 'a', name: 'import' })
    await until(() => two.missions.get('a') !== undefined)
    const { signal } = mission
    const ended: string[] = []
    one.missions.on('mission_ended', ({ status }) => { ended.push(status) })
    process.backplane.only = ['append']
    process.backplane.fault = 'silent'
    mission.complete()
    two.missions.report('a', 'error', { error: { code: 'boom', message: 'it failed' } })
    t.match(await two.missions.get('a')!.settled(), { status: 'error' })
    process.backplane.fault = 'none'
    t.match(await mission.settled(), { status: 'error', error: { code: 'boom' } })
    t.equal(mission.status, 'error')
    t.match(mission.view(), { lateOutcome: 'completed', error: { code: 'boom' } })
    t.strictSame(ended, ['completed'], 'the event is emitted once')
    t.equal(signal.aborted, true)
    t.ok(signal.reason instanceof EndedElsewhereError)
    t.equal(signal.reason.code, 'FST_MC_ENDED_ELSEWHERE')
    for (const app of [one, two]) t.match(app.missions.stats(), { active: 0, completed: 0, errors: 1, total: 1 })
    t.equal(one.missions.stats().lateOutcomes, 1)
    const { body } = await one.missionControl.metrics.render()
    t.match(body, /missions_finished_total\{outcome="completed"\} 1\n/, 'a counter never falls')
    t.match(body, /missions_finished_total\{outcome="error"\} 0\n/)
  })

  t.test('two processes that start the same id have one mission', async (t) => {
    const { one, two } = await pair(t)
    const first = one.missions.start({ id: 'a', name: 'import' })
    const second = two.missions.start({ id: 'a', name: 'import' })
    await until(() => one.missions.stats().active === 1 && two.missions.stats().active === 1)
    second.complete()
    t.match(await first.done, { status: 'completed' })
    t.match(await second.settled(), { status: 'completed' })
    t.match(one.missions.stats(), { active: 0, completed: 1, total: 1 })
  })

  t.test('starting the id of a mission that is active elsewhere joins it', async (t) => {
    const { one, two } = await pair(t)
    one.missions.start({ id: 'a', name: 'import', tags: ['nightly'] })
    await until(() => two.missions.stats().active === 1)
    const joined = two.missions.start({ id: 'a', name: 'other' })
    t.equal(joined.name, 'import')
    t.strictSame(joined.tags, ['nightly'])
    t.equal(two.missions.stats().total, 1)
  })

  t.test('an id that has ended elsewhere stays ended, and is started again as a new attempt', async (t) => {
    const { one, two } = await pair(t)
    const first = one.missions.start({ id: 'a', name: 'import' })
    first.fail(new Error('x'))
    await first.settled()
    await until(() => two.missions.stats().errors === 1)
    t.throws(() => two.missions.start({ id: 'a', name: 'import' }), { code: 'FST_MC_MISSION_ENDED' })
    t.strictSame(two.missions.report('a', 'completed'), { applied: false, reason: 'terminal' })
    const second = two.missions.start({ id: 'a', name: 'import', attempt: 'next' })
    t.equal(second.attempt, 2)
    await until(() => one.missions.get('a')!.attempt === 2)
    t.match(one.missions.get('a')!.view(), { attempt: 2, attempts: [{ attempt: 1, status: 'error' }] })
    t.match(one.missions.stats(), { active: 1, errors: 1, total: 2 })
  })

  t.test('a newer attempt in another process ends the active one as superseded', async (t) => {
    const { one, two } = await pair(t)
    const first = one.missions.start({ id: 'a', name: 'import' })
    await until(() => two.missions.stats().active === 1)
    two.missions.start({ id: 'a', name: 'import', attempt: 2 })
    t.match(await first.done, { attempt: 1, status: 'cancelled', cancel: { kind: 'superseded' } })
    await until(() => one.missions.stats().active === 1 && one.missions.stats().cancelled === 1)
    t.equal(one.missions.get('a')!.attempt, 2)
  })

  t.test('a step that others have overtaken is sent again with the present status', async (t) => {
    const { one, two, processes: [process] } = await pair(t)
    const mission = one.missions.start({ id: 'a', name: 'import' })
    await until(() => two.missions.get('a') !== undefined)
    process.backplane.only = ['append']
    process.backplane.fault = 'silent'
    mission.annotate({ rows: 7 })
    two.missions.report('a', 'execution_started')
    await until(() => mission.status === 'execution_started')
    process.backplane.fault = 'none'
    await until(() => (two.missions.list().missions[0]!.metadata as { rows?: number } | null)?.rows === 7)
    t.equal(two.missions.get('a')!.status, 'execution_started')
  })
})

t.test('cancelling from any process', async (t) => {
  t.test('the function in another process is aborted', async (t) => {
    const { one, two } = await pair(t)
    two.missions.handle({ cancel: {} })
    const mission = one.missions.spawn({ id: 'a', name: 'import' }, async ({ signal }) => {
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    await until(() => two.missions.stats().active === 1)
    const client = await connect(two)
    client.send({ type: 'mission_cancel', missionId: 'a', id: 'c', reason: 'wrong file '.repeat(1_000) })
    t.match(await client.next('mission_ack'), { payload: { missionId: 'a', action: 'cancel' }, replyTo: 'c' })
    const { cancel, status } = await mission.done
    t.match({ cancel, status }, { status: 'cancelled', cancel: { kind: 'client', reason: /^(wrong file )+wr…$/ } })
    await two.missions.waitFor('a')
  })

  t.test('a cancel of the host carries its reason to the owner', async (t) => {
    const { one, two } = await pair(t)
    const mission = one.missions.spawn({ id: 'a', name: 'import' }, async ({ signal }) => {
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    await until(() => two.missions.stats().active === 1)
    t.equal(two.missions.cancel('a', { reason: 'wrong file', by: 'ada' }), 'requested')
    t.match(await two.missions.waitFor('a'), { status: 'cancelled', cancel: { reason: 'wrong file', by: 'ada', kind: 'request' } })
    t.equal(mission.isTerminal, true)
  })

  t.test('if the owner does not answer, the client is told within a second', async (t) => {
    const { one, two, processes: [process] } = await pair(t, { routes: { missions: '/missions' } })
    two.missions.handle({ cancel: {} })
    one.missions.spawn({ id: 'a', name: 'import' }, async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    await until(() => two.missions.stats().active === 1)
    process.backplane.fault = 'silent'
    const client = await connect(two)
    client.send({ type: 'mission_cancel', missionId: 'a', id: 'c' })
    t.match(await client.next('protocol_error'), { error: { code: 'owner_unavailable' }, replyTo: 'c' })
    const response = await two.inject({ method: 'POST', url: '/missions/a/cancel' })
    t.match([response.statusCode, response.json().code], [503, 'FST_MC_OWNER_UNAVAILABLE'])
    t.equal(one.missions.get('a')!.view().cancel, null)
  })

  t.test('if the process closes while the owner does not answer, the caller is told at once', async (t) => {
    const { one, two, processes: [, process] } = await pair(t, { routes: { missions: '/missions' } })
    two.missions.handle({ cancel: {} })
    one.missions.start({ id: 'a', name: 'import' })
    await until(() => two.missions.stats().active === 1)
    process.backplane.only = ['send']
    process.backplane.fault = 'silent'
    const response = two.inject({ method: 'POST', url: '/missions/a/cancel' })
    await until(() => process.backplane.calls.includes('send'))
    await two.close()
    t.match((await response).json(), { code: 'FST_MC_OWNER_UNAVAILABLE' })
  })

  t.test('children in other processes are cancelled with their parent', async (t) => {
    const { one, two } = await pair(t)
    const parent = one.missions.start({ id: 'parent', name: 'import' })
    await until(() => two.missions.stats().active === 1)
    const child = two.missions.start({ id: 'child', name: 'file', parentId: 'parent' })
    await until(() => one.missions.stats().active === 2)
    const aborted = new Promise((resolve) => child.signal.addEventListener('abort', () => resolve(child.signal.reason)))
    parent.cancel()
    t.ok(await aborted instanceof CancelledError)
    t.match(child.view().cancel, { kind: 'parent' })
  })

  t.test('a cancelled mission of a process that dies is forced to end by the one that watches it from then on', async (t) => {
    const [one, two] = await startProcesses(t, 2, { leaseMs: 300, missions: { cancelGraceMs: 100 } })
    one!.app.missions.start({ id: 'a', name: 'import' })
    await until(() => two!.app.missions.stats().active === 1)
    t.equal(two!.app.missions.cancel('a'), 'requested')
    await until(() => two!.app.missions.list().missions[0]!.cancel !== null)
    one!.backplane.fault = 'silent'
    t.match(await two!.app.missions.waitFor('a'), { status: 'cancelled', cancel: { kind: 'request', forced: true } })
  })

  t.test('a mission that a function of another process has taken over is cancelled there', async (t) => {
    const { one, two } = await pair(t)
    one.missions.start({ id: 'job', name: 'import' })
    await until(() => two.missions.stats().active === 1)
    const running = two.missions.run({ id: 'job', name: 'import' }, async ({ signal }) => {
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    await until(() => one.missions.list().missions[0]!.instance === two.missions.list().missions[0]!.instance)
    t.equal(one.missions.cancel('job'), 'requested')
    await t.rejects(running, CancelledError)
    t.match(await one.missions.waitFor('job'), { status: 'cancelled' })
    t.match(one.missions.stats(), { total: 1, cancelled: 1 })
  })
})
