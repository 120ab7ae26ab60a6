import t, { type Test } from 'tap'
import type { Client, ClientError, MissionsSnapshot } from '../lib/client/index.js'
import { blockOf, bundleModule, moduleOf } from './support/docs-blocks.js'
import { connectClient, connectSubscribed, type FakeService } from './support/fake-service.js'
import { settle } from './support/missions.js'

const idsOf = (snapshot: MissionsSnapshot): string[] => snapshot.missions.map(({ missionId }) => missionId)
const lostOf = (snapshot: MissionsSnapshot): string[] => snapshot.lost.map(({ missionId }) => missionId)

/** Gives the page animation frames, which the test draws. */
function addFrames (t: Test) {
  const page = globalThis as { requestAnimationFrame?: unknown }
  const waiting: Array<() => void> = []
  page.requestAnimationFrame = (run: () => void) => { waiting.push(run) }
  t.teardown(() => { delete page.requestAnimationFrame })
  return { waiting, draw () { for (const run of waiting.splice(0)) run() } }
}

/** Sends the full state of the service after a gap: these missions. */
function resend (service: FakeService, offset: number, ...ids: string[]): void {
  service.send('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: { epoch: service.epoch, offset, id: `g${offset}` }, messages: ids.length } })
  for (const id of ids) service.snapshot(id, 'planned', 9)
}

t.test('the snapshot', async (t) => {
  t.test('has the missions, what was lost and the state, is frozen and stays the same until something changes', async (t) => {
    const service = await connectClient(t)
    const { getSnapshot } = service.client.missionsState
    const first = getSnapshot()
    t.strictSame(first, { missions: [], lost: [], state: 'connecting' })
    t.equal(getSnapshot(), first)
    service.open()
    service.ack('fresh', { at: 0, messages: 0 })
    service.update('a', 'planned', 1, 1)
    const second = getSnapshot()
    t.match(second, { missions: [{ missionId: 'a', status: 'planned' }], lost: [], state: 'open' })
    t.equal(second.missions[0], service.client.missionsState.get('a'))
    t.equal(getSnapshot(), second)
    for (const part of [second, second.missions, second.lost]) t.ok(Object.isFrozen(part))
    service.update('a', 'planned', 1, 1)
    service.update('a', 'planned', 1)
    service.send('heartbeat', { intervalMs: 1_000 })
    t.equal(getSnapshot(), second, 'a duplicate changes nothing')
    service.update('b', 'planned', 1, 2)
    t.strictSame(idsOf(getSnapshot()), ['a', 'b'])
    t.strictSame(idsOf(second), ['a'])
    service.client.close()
    t.equal(getSnapshot().state, 'closed')
  })

  t.test('shows the missions that the last full state lacked, until the next one or until they are back', async (t) => {
    const service = await connectSubscribed(t)
    const { getSnapshot } = service.client.missionsState
    for (const [at, id] of ['a', 'b', 'c', 'd'].entries()) service.update(id, 'planned', 1, at + 1)
    resend(service, 5, 'd')
    t.strictSame([idsOf(getSnapshot()), lostOf(getSnapshot())], [['d'], ['a', 'b', 'c']])
    service.update('b', 'planned', 10, 6)
    t.strictSame([idsOf(getSnapshot()), lostOf(getSnapshot())], [['d', 'b'], ['a', 'c']])
    resend(service, 7, 'b')
    t.strictSame([idsOf(getSnapshot()), lostOf(getSnapshot())], [['b'], ['d']])
    resend(service, 8, 'b')
    t.strictSame(lostOf(getSnapshot()), [])
  })

  t.test('does not keep more lost missions than were active', async (t) => {
    const service = await connectSubscribed(t)
    let offset = 0
    for (let round = 0; round < 50; round++) {
      const ids = Array.from({ length: 20 }, (_, at) => `m${round}-${at}`)
      for (const id of ids) service.update(id, 'planned', 1, ++offset)
      resend(service, ++offset)
      t.strictSame(lostOf(service.client.missionsState.getSnapshot()), ids)
    }
  })
})

t.test('subscribers', async (t) => {
  t.test('are called once per animation frame, with the snapshot that getSnapshot returns until the next one', async (t) => {
    const frames = addFrames(t)
    const service = await connectSubscribed(t)
    const { subscribe, getSnapshot } = service.client.missionsState
    const seen: MissionsSnapshot[] = []
    const before = getSnapshot()
    subscribe((snapshot) => { seen.push(snapshot) })
    service.update('a', 'planned', 1, 1)
    service.update('b', 'planned', 1, 2)
    t.equal(frames.waiting.length, 1)
    t.equal(getSnapshot(), before)
    t.strictSame([...service.client.missionsState.keys()], ['a', 'b'], 'the map is live')
    frames.draw()
    t.strictSame(seen.map(idsOf), [['a', 'b']])
    t.equal(getSnapshot(), seen[0])
    frames.draw()
    t.equal(seen.length, 1, 'nothing has changed')
    service.drop()
    frames.draw()
    t.strictSame(seen.map(({ state }) => state), ['open', 'waiting'])
  })

  t.test('receive each change of the state, and the one of close', async (t) => {
    const service = await connectClient(t)
    const states: string[] = []
    service.client.missionsState.subscribe(({ state }) => { states.push(state) })
    service.open()
    service.clock.advance(0)
    service.drop()
    service.clock.advance(0)
    service.client.close()
    service.clock.advance(0)
    t.strictSame(states, ['open', 'waiting', 'closed'])
  })

  t.test('are called from a timer in the background, also for a change that waits for a frame', async (t) => {
    const frames = addFrames(t)
    const service = await connectSubscribed(t)
    const seen: string[][] = []
    service.client.missionsState.subscribe((snapshot) => { seen.push(idsOf(snapshot)) })
    service.update('a', 'planned', 1, 1)
    service.document.visibilityState = 'hidden'
    service.document.fire('visibilitychange')
    t.strictSame(seen, [['a']], 'the frame may never come')
    service.update('b', 'planned', 1, 2)
    service.update('c', 'planned', 1, 3)
    service.clock.advance(0)
    t.strictSame(seen, [['a'], ['a', 'b', 'c']])
    service.document.visibilityState = 'visible'
    service.document.fire('visibilitychange')
    frames.draw()
    t.equal(seen.length, 2)
    service.update('d', 'planned', 1, 4)
    service.clock.advance(0)
    t.equal(seen.length, 2)
    frames.draw()
    t.strictSame(seen.at(-1), ['a', 'b', 'c', 'd'])
  })

  t.test('cost nothing when there are none', async (t) => {
    const frames = addFrames(t)
    const service = await connectSubscribed(t)
    const { subscribe, getSnapshot } = service.client.missionsState
    let calls = 0
    const stop = subscribe(() => { calls++ })
    stop()
    stop()
    service.update('a', 'planned', 1, 1)
    t.equal(frames.waiting.length, 0)
    t.strictSame(idsOf(getSnapshot()), ['a'])
    // One that is removed while a frame is due.
    const stopLate = subscribe(() => { calls++ })
    service.update('b', 'planned', 1, 2)
    stopLate()
    service.update('c', 'planned', 1, 3)
    t.strictSame(idsOf(getSnapshot()), ['a', 'b', 'c'])
    frames.draw()
    t.equal(calls, 0)
  })

  t.test('are called although another one throws or rejects, which is an error event', async (t) => {
    const service = await connectSubscribed(t)
    const { subscribe } = service.client.missionsState
    const failures: ClientError[] = []
    let calls = 0
    service.client.on('error', (err) => { failures.push(err) })
    subscribe(() => { throw new Error('thrown') })
    subscribe(async () => { throw new Error('rejected') })
    subscribe(() => { calls++ })
    service.update('a', 'planned', 1, 1)
    service.clock.advance(0)
    await settle()
    t.equal(calls, 1)
    t.match(failures, [
      { code: 'MC_CLIENT_LISTENER_FAILED', message: 'missionsState', cause: { message: 'thrown' } },
      { code: 'MC_CLIENT_LISTENER_FAILED', message: 'missionsState', cause: { message: 'rejected' } }
    ])
    t.throws(() => subscribe('listener' as never), { code: 'MC_CLIENT_INVALID_OPTION', message: 'missionsState' })
    t.throws(() => service.client.on('missionsState' as 'state', () => {}), { code: 'MC_CLIENT_INVALID_OPTION' }, 'it is no event')
  })

  t.test('may close the client', async (t) => {
    const service = await connectSubscribed(t)
    const states: string[] = []
    service.client.missionsState.subscribe(({ state }) => {
      states.push(state)
      service.client.close()
    })
    service.update('a', 'planned', 1, 1)
    service.clock.advance(0)
    t.strictSame(states, ['open', 'closed'])
  })

  t.test('cost one copy of 5,000 missions per frame, not per update', async (t) => {
    const frames = addFrames(t)
    const service = await connectSubscribed(t)
    const { missionsState } = service.client
    for (let at = 0; at < 5_000; at++) service.update(`m${at}`, 'planned', 1, at + 1)
    let copies = 0
    const values = missionsState.values.bind(missionsState)
    Object.assign(missionsState, { values: () => { copies++; return values() } })
    let calls = 0
    missionsState.subscribe(() => { calls++ })
    copies = 0
    for (let at = 0; at < 20_000; at++) {
      service.update(`m${at % 5_000}`, 'execution_progress', 2 + Math.floor(at / 5_000))
      missionsState.getSnapshot()
      if (at % 1_000 === 999) frames.draw()
    }
    t.strictSame([calls, copies], [20, 20])
    t.ok(missionsState.getSnapshot().missions.every(({ seq }) => seq === 5))
  })
})

interface Readable { subscribe: (run: (snapshot: MissionsSnapshot) => void) => () => void }
interface Ref { value: MissionsSnapshot }
interface Scope { run: <Value>(run: () => Value) => Value, stop: () => void }

t.test('the lines of the page', async (t) => {
  /** Loads the lines for a framework, with more exports of the package. */
  async function load (t: Test, name: string, exports = ''): Promise<Record<string, any>> {
    const block = blockOf(name)
    t.ok(block.trim().split('\n').filter((line) => line !== '').length <= 5, 'at most five lines')
    const folder = t.testdir({ 'lines.mjs': await bundleModule(moduleOf(block, 'missions', exports && `export { ${exports} } from '${name}'`), 'node') })
    return await import(`${folder}/lines.mjs`) as Record<string, any>
  }

  t.test('make a readable store of Svelte', async (t) => {
    const { setup, get } = await load(t, 'svelte/store', 'get') as { setup: (client: Client) => Readable, get: (store: Readable) => MissionsSnapshot }
    const service = await connectSubscribed(t)
    const missions = setup(service.client)
    service.update('a', 'planned', 1, 1)
    t.strictSame(idsOf(get(missions)), ['a'], 'also what changed before the first subscription')
    const seen: string[][] = []
    const stop = missions.subscribe((snapshot) => { seen.push(idsOf(snapshot)) })
    t.strictSame(seen, [['a']], 'called at once')
    service.update('b', 'planned', 1, 2)
    service.update('c', 'planned', 1, 3)
    service.clock.advance(0)
    t.strictSame(seen, [['a'], ['a', 'b', 'c']])
    stop()
    service.update('d', 'planned', 1, 4)
    service.clock.advance(0)
    t.equal(seen.length, 2)
    t.strictSame(idsOf(get(missions)), ['a', 'b', 'c', 'd'])
  })

  t.test('make a ref of Vue that its scope stops', async (t) => {
    const vue = await load(t, 'vue', 'effectScope, watch, isReactive') as { setup: (client: Client) => Ref, effectScope: () => Scope, watch: (ref: Ref, run: (snapshot: MissionsSnapshot) => void, options: object) => void, isReactive: (value: unknown) => boolean }
    const service = await connectSubscribed(t)
    const scope = vue.effectScope()
    const missions = scope.run(() => vue.setup(service.client))
    const seen: string[][] = []
    vue.watch(missions, (snapshot) => { seen.push(idsOf(snapshot)) }, { flush: 'sync' })
    service.update('a', 'planned', 1, 1)
    service.update('b', 'planned', 1, 2)
    t.strictSame(seen, [])
    service.clock.advance(0)
    t.strictSame(seen, [['a', 'b']])
    t.equal(missions.value, service.client.missionsState.getSnapshot())
    t.notOk(vue.isReactive(missions.value))
    scope.stop()
    service.update('c', 'planned', 1, 3)
    service.clock.advance(0)
    t.equal(seen.length, 1)
  })
})
