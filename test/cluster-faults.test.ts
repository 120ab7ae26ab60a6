import t from 'tap'
import type { Backplane } from '../lib/backplane/contract.js'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import { systemClock } from '../lib/base/clock.js'
import { EndedElsewhereError } from '../lib/index.js'
import type { Cursor, ServerMessages } from '../schemas/index.js'
import { connect, type Client } from './support/client.js'
import { startProcess, startProcesses, until } from './support/cluster.js'

type Update = ServerMessages['mission_update']

const subscribe = async (client: Client, since?: Cursor): Promise<ServerMessages['subscription_ack']> => {
  client.send({ type: 'subscribe', channels: ['mission_update'], ...(since && { since: { mission_update: since } }) })
  return await client.next('subscription_ack')
}

/** Gives the log another epoch, as a process does that finds that it has lost entries. */
async function restartLog (backplane: Backplane, epoch: string): Promise<void> {
  await backplane.connect({ clock: systemClock, onMessage () {}, onWarning () {} }).restart(epoch)
}

const cursorOf = ({ id, position }: Update): Cursor => ({ ...position!, id })

const waitForAbort = async ({ signal }: { signal: AbortSignal }): Promise<void> => {
  await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
}

t.test('resuming in another process', async (t) => {
  t.test('a client that was cut from one process resumes in another, with nothing lost or twice', async (t) => {
    const [one, two] = await startProcesses(t, 2)
    const first = await (await connect(one!.app)).subscribe('mission_update')
    const mission = one!.app.missions.start({ id: 'a', name: 'import' })
    const last = await first.next('mission_update')
    await first.close()
    mission.planned()
    mission.complete()
    await mission.settled()
    await two!.app.missions.waitFor('a')
    const second = await connect(two!.app)
    const { payload } = await subscribe(second, cursorOf(last))
    t.match(payload, { outcome: 'resumed', messages: 2 })
    const missed = (await second.settle()).filter(({ type }) => type === 'mission_update') as Update[]
    t.strictSame(missed.map(({ payload: { status }, position }) => [status, position!.offset]), [['planned', 2], ['completed', 3]])
  })

  t.test('a client that resumes in a process without other clients learns of the newest progress', async (t) => {
    const [one, two] = await startProcesses(t, 2)
    const first = await (await connect(one!.app)).subscribe('mission_update')
    const mission = one!.app.missions.start({ id: 'a', name: 'import' })
    mission.progress(10)
    const last = await first.next('mission_update', ({ payload: { progress } }) => progress !== undefined)
    await first.close()
    mission.progress(50)
    await until(() => two!.app.missions.list().missions[0]?.progress?.index === 50)
    const second = await connect(two!.app)
    const { payload } = await subscribe(second, cursorOf(last))
    t.match(payload, { outcome: 'resumed', messages: 1 })
    t.match(await second.next('mission_update'), { payload: { missionId: 'a', progress: { index: 50 }, snapshot: true } })
  })

  t.test('a client of a tenant resumes by the offsets of the tenant', async (t) => {
    const access = { identify: ({ headers }: { headers: Record<string, unknown> }) => ({ id: 'u', tenant: String(headers['x-tenant']) }) }
    const [one, two] = await startProcesses(t, 2, { access: access as never })
    const headers = { 'x-tenant': 'acme' }
    const first = await (await connect(one!.app, { headers })).subscribe('mission_update')
    one!.app.missions.start({ id: 'other', name: 'import', tenant: 'globex' })
    const mission = one!.app.missions.start({ id: 'a', name: 'import', tenant: 'acme' })
    const last = await first.next('mission_update')
    t.equal(last.position!.offset, 1, 'the offsets tell nothing of other tenants')
    await first.close()
    two!.app.missions.start({ id: 'other2', name: 'import', tenant: 'globex' })
    mission.complete()
    await mission.settled()
    await two!.app.missions.waitFor('a')
    const second = await connect(two!.app, { headers })
    const { payload } = await subscribe(second, cursorOf(last))
    t.match(payload, { outcome: 'resumed', messages: 1 })
    t.match(await second.next('mission_update'), { payload: { missionId: 'a', status: 'completed' }, position: { offset: 2 } })
  })

  t.test('a process knows the endings of missions that ended while it was starting', async (t) => {
    const memory = createMemoryBackplane()
    const one = await startProcess(t, memory)
    const mission = one.app.missions.start({ id: 'a', name: 'import' })
    const late: Backplane = {
      leaseMs: memory.leaseMs,
      connect: (context) => Object.assign(memory.connect(context), {
        async * states () {
          mission.complete()
          await mission.settled()
        }
      })
    }
    const two = await startProcess(t, late)
    const client = await connect(two.app)
    client.send({ type: 'subscribe', channels: ['mission_update'], endings: 10 })
    const updates = (await client.settle()).filter(({ type }) => type === 'mission_update')
    t.match(updates, [{ payload: { missionId: 'a', status: 'completed', snapshot: true } }])
  })

  t.test('history, positions and endings outlive a restart of all processes', async (t) => {
    const backplane = createMemoryBackplane()
    const before = await startProcess(t, backplane)
    const first = await (await connect(before.app)).subscribe('mission_update')
    const reported = before.app.missions.start({ id: 'reported', name: 'import' })
    const last = await first.next('mission_update')
    const ended = before.app.missions.start({ id: 'ended', name: 'import' })
    ended.complete()
    await ended.settled()
    await before.app.close()
    t.equal(reported.isTerminal, false, 'a mission that no function runs is not cancelled')
    const after = await startProcess(t, backplane)
    t.match(after.app.missions.stats(), { active: 1, completed: 1, total: 2 })
    t.strictSame(after.app.missions.list().missions.map(({ id, status }) => [id, status]), [['ended', 'completed'], ['reported', 'planning_started']])
    const second = await connect(after.app)
    const { payload } = await subscribe(second, cursorOf(last))
    t.match(payload, { outcome: 'resumed', messages: 3 }, 'also the state of the active mission')
    t.strictSame(after.app.missions.report('ended', 'error'), { applied: false, reason: 'terminal' })
    after.app.missions.report('reported', 'completed')
    t.match(await after.app.missions.get('reported')!.settled(), { status: 'completed' })
    t.match(await second.next('mission_update', ({ payload: { missionId, status } }) => missionId === 'reported' && status === 'completed'),
      { position: { offset: 4 } })
  })

  t.test('a client that comes back after the log was trimmed gets the endings that it missed', async (t) => {
    const backplane = createMemoryBackplane()
    const options = { websocket: { history: { maxMessages: 2 } } }
    const [one, two] = [await startProcess(t, backplane, options), await startProcess(t, backplane, options)]
    const first = await (await connect(one.app)).subscribe('mission_update')
    const missions = Array.from({ length: 2 }, (_, at) => one.app.missions.start({ id: `m${at}`, name: 'import' }))
    const last = await first.next('mission_update', ({ payload }) => payload.missionId === 'm1')
    await first.close()
    for (const mission of missions) {
      mission.planned()
      mission.complete()
      await mission.settled()
    }
    await two.app.missions.waitFor('m1')
    const second = await connect(two.app)
    const { payload } = await subscribe(second, cursorOf(last))
    t.match(payload, { outcome: 'gap', gap: { cause: 'trimmed' } })
    const endings = (await second.settle()).filter(({ type }) => type === 'mission_update') as Update[]
    t.strictSame(endings.map(({ payload: { missionId, status, snapshot } }) => [missionId, status, snapshot]),
      [['m0', 'completed', true], ['m1', 'completed', true]])
  })
})

t.test('a dead process', async (t) => {
  t.test('its running missions end once as process_lost, reported ones live on and are inherited', async (t) => {
    const [one, two] = await startProcesses(t, 2, { leaseMs: 300 })
    const client = await (await connect(two!.app)).subscribe('mission_update')
    one!.app.missions.spawn({ id: 'running', name: 'import' }, waitForAbort)
    one!.app.missions.start({ id: 'reported', name: 'import' })
    await until(() => two!.app.missions.stats().active === 2)
    one!.backplane.fault = 'silent'
    t.match(await two!.app.missions.waitFor('running'), { status: 'error', error: { code: 'process_lost' } })
    const update = await client.next('mission_update', ({ payload: { endedAt } }) => endedAt !== undefined)
    t.match(update.payload, { missionId: 'running', status: 'error', errorCode: 'process_lost', previousStatus: 'planning_started' })
    const [two_] = two!.app.missions.list({ name: 'import', status: 'planning_started' }).missions
    t.equal(two_!.id, 'reported')
    await until(() => two!.app.missions.list().missions.find(({ id }) => id === 'reported')!.instance === two!.app.missions.list().missions.find(({ id }) => id === 'running')!.instance === false)
    t.equal(two!.app.missions.cancel('reported'), 'requested')
    t.match(two!.app.missions.get('reported')!.view().cancel, { requested: true })
    t.match(two!.app.missions.stats(), { active: 1, errors: 1, total: 2 })
  })

  t.test('a process that wakes up after its lease is told so, and goes on under a new identity', async (t) => {
    const [one, two] = await startProcesses(t, 2, { leaseMs: 300 })
    const running = one!.app.missions.spawn({ id: 'running', name: 'import' }, waitForAbort)
    const reported = one!.app.missions.start({ id: 'reported', name: 'import' })
    const { signal } = running
    await until(() => two!.app.missions.stats().active === 2)
    const before = two!.app.missions.list().missions[0]!.instance
    one!.backplane.fault = 'silent'
    running.complete()
    reported.progress(50)
    await two!.app.missions.waitFor('running')
    one!.backplane.fault = 'none'
    t.match(await running.settled(), { status: 'error', error: { code: 'process_lost' } })
    t.ok(signal.reason instanceof EndedElsewhereError)
    t.equal(signal.reason.code, 'FST_MC_PROCESS_LOST')
    t.equal(running.view().lateOutcome, 'completed')
    await until(() => two!.app.missions.get('reported')!.status === 'execution_progress')
    const late = one!.app.missions.start({ id: 'late', name: 'import' })
    late.complete()
    t.match(await late.settled(), { status: 'completed' })
    await two!.app.missions.waitFor('late')
    t.not(two!.app.missions.list().missions.find(({ id }) => id === 'late')!.instance, before)
    t.match(two!.app.missions.stats(), { active: 1, completed: 1, errors: 1, total: 3 })
  })

  t.test('a process that closes gives its lease back, so that nobody waits for it', async (t) => {
    const [one, two] = await startProcesses(t, 2)
    const running = one!.app.missions.spawn({ id: 'running', name: 'import' }, async () => { await new Promise(() => {}) })
    await until(() => two!.app.missions.stats().active === 1)
    await one!.app.close()
    t.match(running.outcome, { status: 'cancelled', cancel: { kind: 'shutdown', forced: true } })
    t.match(await two!.app.missions.waitFor('running'), { status: 'cancelled' })
  })
})

t.test('the backplane is away', async (t) => {
  t.test('clients stay connected and are told, and everything is appended in order when it is back', async (t) => {
    const [one, two] = await startProcesses(t, 2)
    const client = await (await connect(one!.app)).subscribe('mission_update', 'health_delta')
    const other = await (await connect(two!.app)).subscribe('mission_update')
    one!.backplane.fault = 'refused'
    const mission = one!.app.missions.start({ id: 'a', name: 'import' })
    mission.planned()
    mission.executionStarted()
    mission.complete()
    const down = await client.next('health_delta', ({ payload }) => payload.snapshot !== true)
    t.match(down.payload, { status: 'degraded', health: { components: { backplane: { status: 'degraded', error: 'unavailable' } } } })
    t.match((await one!.app.inject('/health')).json(), { status: 'degraded' })
    t.match((await one!.app.inject('/api/v1/metrics/prometheus')).body, /mission_control_backplane_up 0\n[^]*backplane_steps_waiting [1-4]\n/)
    one!.backplane.fault = 'none'
    const up = await client.next('health_delta')
    t.notMatch(up.payload.health.components, { backplane: { status: 'degraded' } })
    await mission.settled()
    const seen: string[] = []
    while (seen.at(-1) !== 'completed') seen.push((await other.next('mission_update')).payload.status)
    t.strictSame(seen, ['planning_started', 'planned', 'execution_started', 'completed'])
    t.equal(client.socket.readyState, client.socket.OPEN)
  })

  t.test('a batch whose answer was lost is appended once', async (t) => {
    const backplane = createMemoryBackplane()
    let lost = 0
    const losing = {
      leaseMs: backplane.leaseMs,
      connect: (context: Parameters<typeof backplane.connect>[0]) => {
        const log = backplane.connect(context)
        return new Proxy(log, {
          get: (target, name: keyof typeof log) => name !== 'append'
            ? (target[name] as () => void).bind(target)
            : async (batch: never) => {
              const result = await target.append(batch)
              if (lost++ === 0) throw new Error('the answer was lost')
              return result
            }
        })
      }
    }
    const one = await startProcess(t, losing as typeof backplane)
    const client = await (await connect(one.app)).subscribe('mission_update')
    const mission = one.app.missions.start({ id: 'a', name: 'import' })
    mission.complete()
    await mission.settled()
    const updates = (await client.settle()).filter(({ type }) => type === 'mission_update') as Update[]
    t.strictSame(updates.map(({ payload: { status, seq } }) => [status, seq]), [['planning_started', 1], ['completed', 2]])
    await until(() => lost > 1)
    t.equal((await client.settle()).length, 0, 'it was sent twice')
    t.match(one.app.missions.stats(), { total: 1, completed: 1 })
  })

  t.test('a batch whose answer was lost is appended once, even if its process is taken for dead meanwhile', async (t) => {
    const backplane = createMemoryBackplane()
    let appends = 0
    const connectLosing = (context: Parameters<typeof backplane.connect>[0]) => {
      const log = backplane.connect(context)
      const append = async (batch: never) => {
        if (++appends === 2) return { outcome: 'fenced' }
        const result = await log.append(batch)
        if (appends === 1) throw new Error('the answer was lost')
        return result
      }
      return new Proxy(log, { get: (target, name: keyof typeof log) => name === 'append' ? append : (target[name] as () => void).bind(target) })
    }
    const one = await startProcess(t, { leaseMs: backplane.leaseMs, connect: connectLosing } as typeof backplane)
    const client = await (await connect(one.app)).subscribe('mission_update')
    const mission = one.app.missions.start({ id: 'a', name: 'import' })
    mission.planned()
    await until(() => appends === 2)
    mission.complete()
    await mission.settled()
    const updates = (await client.settle()).filter(({ type }) => type === 'mission_update') as Update[]
    t.strictSame(updates.map(({ payload: { status, seq } }) => [status, seq]), [['planning_started', 1], ['planned', 2], ['completed', 3]])
  })

  t.test('steps beyond the limit are dropped, counted and told as a gap, and the endings are told in the end', async (t) => {
    const [one, two] = await startProcesses(t, 2, { missions: { maxEnded: 20_000, maxActive: 20_000 } })
    const client = await (await connect(two!.app)).subscribe('mission_update')
    one!.backplane.fault = 'refused'
    const missions = Array.from({ length: 6_000 }, (_, at) => one!.app.missions.start({ id: `m${at}`, name: 'import' }))
    for (const mission of missions) {
      mission.planned()
      mission.complete()
    }
    one!.backplane.fault = 'none'
    await Promise.all(missions.map(async (mission) => await mission.settled()))
    await client.next('subscription_gap')
    const metrics = (await one!.app.inject('/api/v1/metrics/prometheus')).body
    t.match(metrics, /backplane_steps_dropped_total [1-9]\d+\n/)
    t.match(metrics, /backplane_endings_dropped_total 0\n/)
    await until(() => two!.app.missions.stats().completed === 6_000)
    t.match(two!.app.missions.stats(), { active: 0, completed: 6_000, total: 6_000 })
  })

  t.test('a service that starts without it works, and joins when it is there', async (t) => {
    const backplane = createMemoryBackplane()
    const one = await startProcess(t, backplane)
    const two = await startProcess(t, { ...backplane, connect: backplane.connect.bind(backplane) })
    t.equal(two.app.missions.stats().active, 0)
    const mission = one.app.missions.start({ id: 'a', name: 'import' })
    await until(() => two.app.missions.stats().active === 1)
    mission.complete()
    await mission.settled()
  })

  t.test('a process that was away while the log began again tells every ending that it has missed', async (t) => {
    const backplane = createMemoryBackplane()
    const [one, two] = [await startProcess(t, backplane), await startProcess(t, backplane)]
    const client = await connect(two.app)
    const { payload: { asOf } } = await subscribe(client)
    two.backplane.fault = 'refused'
    const missions = Array.from({ length: 1_000 }, (_, at) => {
      const mission = one.app.missions.start({ id: `m${at}`, name: 'import' })
      mission.complete()
      return mission
    })
    await Promise.all(missions.map(async (mission) => await mission.settled()))
    await restartLog(backplane, asOf!.epoch)
    two.backplane.fault = 'none'
    await client.next('subscription_gap')
    const updates = (await client.settle()).filter(({ type }) => type === 'mission_update') as Update[]
    t.equal(new Set(updates.map(({ payload }) => payload.missionId)).size, 1_000)
  })

  t.test('if the log has lost acknowledged steps, their owner tells them again under a new epoch', async (t) => {
    const backplane = createMemoryBackplane()
    const [one, two] = [await startProcess(t, backplane), await startProcess(t, backplane)]
    const client = await connect(two.app)
    const ack = await subscribe(client)
    const mission = one.app.missions.start({ id: 'a', name: 'import' })
    await client.next('mission_update')
    await restartLog(backplane, ack.payload.asOf!.epoch)
    const gap = await client.next('subscription_gap')
    t.match(gap.payload, { channel: 'mission_update', cause: 'epoch_changed' })
    t.match(await client.next('mission_update'), { payload: { missionId: 'a', snapshot: true } })
    mission.complete()
    const last = await client.next('mission_update', ({ payload }) => payload.status === 'completed')
    t.not(last.position!.epoch, ack.payload.asOf!.epoch)
    t.equal(last.position!.offset, 2, 'offsets go on')
  })
})
