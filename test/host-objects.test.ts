import t from 'tap'
import type { Mission, MissionHandlers } from '../lib/missions/index.js'
import Fastify from 'fastify'
import missionControl from '../lib/index.js'
import { connect } from './support/client.js'
import type { AccessOptions } from '../lib/mission-control.js'

/** The same values as an object of each kind that an application may pass. */
function kindsOf<T extends object> (values: T): Record<string, T> {
  class Methods {}
  const descriptors = Object.entries(values).map(([name, value]) =>
    [name, typeof value === 'function' ? { value } : { get: () => value as unknown }] as const)
  Object.defineProperties(Methods.prototype, Object.fromEntries(descriptors))
  return {
    plain: { ...values },
    frozen: Object.freeze({ ...values }),
    'without a prototype': Object.assign(Object.create(null) as T, values),
    'a class with fields': Object.assign(new (class {})() as T, values),
    'a class with methods and getters': new Methods() as T,
    'a module namespace': Object.freeze(Object.assign(Object.create(null, { [Symbol.toStringTag]: { value: 'Module' } }) as T, values))
  }
}

t.test('objects of every kind do what a plain one does', async (t) => {
  const expected: Record<string, unknown> = {}
  for (const kind of Object.keys(kindsOf({}))) {
    const of = <T extends object>(values: T): T => kindsOf(values)[kind]!
    const users: unknown[] = []
    const access = of<AccessOptions>({
      identify: ({ url }) => { users.push(url); return of({ id: 'ann', roles: ['all'] }) },
      authorize: ({ roles }, { action }) => { users.push(action); return roles?.includes('all') === true }
    })
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(missionControl, of({
      access, routes: of({ missions: '/missions' as const }), websocket: of({ allowedOrigins: '*' as const }), missions: of({ closeGraceMs: 1 })
    }))
    app.missions.handle(of<MissionHandlers>({
      start: of({ authorize: () => true, start: (command: string): Mission => app.missions.start(of({ id: command, name: 'started', tags: ['a'] })) }),
      cancel: of({ authorize: () => false })
    }))
    const client = await connect(app)
    client.send({ type: 'mission_start', command: 'm1', id: 'k' })
    await client.next('mission_ack')
    client.send({ type: 'mission_cancel', missionId: 'm1' })
    const { error } = await client.next('protocol_error')
    app.missions.report('m1', 'execution_progress', of({ progress: of({ fraction: 0.5 }), metadata: of({ a: 1 }) }))
    app.missions.waiting('m2', 'queued', of({ name: 'second', tenant: 'acme' }))
    const work = await app.missions.run(of({ name: 'run', objective: 'work' }), (mission) => mission.view().objective)
    const { value } = await app.missions.subscribe(of({ name: 'second' })).next()
    app.monitoring.trackOperation(of({ component: 'a', operation: 'b', status: 'success' as const, durationMs: NaN }))
    let isChecked = false
    await app.ready()
    app.monitoring.addHealthCheck(of({ name: 'check', run: () => { isChecked = true } }))
    const seen = {
      users,
      error,
      work,
      isChecked,
      listed: app.missions.list(of({ name: 'started', limit: 1 })).missions.map(({ id, tags }) => [id, tags]),
      second: (value as { name: string, tenant: string }).tenant,
      cancelled: app.missions.cancel('m2', of({ reason: 'enough', by: 'me' })),
      reason: app.missions.get('m2')!.view().cancel?.reason,
      outcome: (await app.missions.waitFor(app.missions.list(of({ name: 'run' })).missions[0]!.id, of({ timeoutMs: 10 }))).status,
      operations: app.monitoring.operations()
    }
    expected[kind] = seen
    t.strictSame(seen, expected['plain'], kind)
  }
})
