import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import type { AccessOptions } from '../lib/mission-control.js'
import { ACCESS_ACTIONS, type AccessQuestion } from '../schemas/access.js'
import { CHANNEL_NAMES, missionChecksum, type ServerMessages } from '../schemas/index.js'
import { boot } from './support/app.js'
import { connect, type Client } from './support/client.js'

const NOW = Date.UTC(2026, 5, 1)

async function serve (t: Test, access: Partial<AccessOptions> = {}) {
  const clock = createVirtualClock(NOW)
  const app = await boot(t, {
    clock,
    routes: { missions: '/missions' },
    websocket: { heartbeatMs: 1_000_000_000 },
    access: {
      identify: ({ headers }) => JSON.parse(String(headers['x-principal'] ?? 'null')) as { id: string } | null,
      ...access
    }
  })
  return { app, clock }
}

const headersOf = (principal: object) => ({ 'x-principal': JSON.stringify(principal) })
const as = async (app: FastifyInstance, principal: object): Promise<Client> => await connect(app, { headers: headersOf(principal) })
const updatesIn = (messages: Array<{ type: string }>) => messages.flatMap((message) =>
  message.type === 'mission_update' ? [(message as ServerMessages['mission_update']).payload] : [])

/** Each user sees the missions of which they are the owner. */
const byOwner: AccessOptions['authorize'] = ({ id }, { mission }) => mission === undefined || (mission.metadata as { owner?: string } | null)?.owner === id

t.test('with authorize, a user sees the missions that the host lets them see, and nothing else', async (t) => {
  const { app, clock } = await serve(t, { authorize: byOwner })
  const start = (id: string, owner: string) => app.missions.start({ id, name: 'job', tags: ['all'], metadata: { owner }, tenant: 'acme' })
  const ann = { id: 'ann', tenant: 'acme' }
  const bob = { id: 'bob', tenant: 'acme' }
  const idsOf = (messages: Array<{ type: string }>) => updatesIn(messages).map(({ missionId, status }) => `${missionId} ${status}`)
  start('ann-1', 'ann')
  start('bob-1', 'bob')
  const client = await as(app, ann)
  clock.advance(1)

  t.test('in the snapshot and its checksum', async (t) => {
    client.send({ type: 'subscribe', channels: ['mission_update'] })
    const messages = await client.settle()
    t.strictSame(idsOf(messages), ['ann-1 planning_started'])
    const ack = messages.find((message) => message.type === 'subscription_ack') as ServerMessages['subscription_ack']
    t.equal(ack.payload.messages, 1)
    t.equal(ack.payload.asOf?.checksum, missionChecksum([{ missionId: 'ann-1', status: 'planning_started' }]))
  })

  t.test('in live updates, also if the metadata changes', async (t) => {
    app.missions.get('bob-1')!.annotate({ owner: 'ann' })
    app.missions.get('ann-1')!.annotate({ owner: 'bob' })
    start('bob-2', 'bob')
    start('ann-2', 'ann').executionStarted()
    clock.advance(1_000)
    const seen = new Set(updatesIn(await client.settle()).map(({ missionId }) => missionId))
    t.strictSame([...seen].sort(), ['ann-1', 'ann-2'])
  })

  t.test('in endings, replays and gaps', async (t) => {
    const first = await as(app, ann)
    first.send({ type: 'subscribe', channels: ['mission_update'] })
    const { asOf } = ((await first.settle()).find((message) => message.type === 'subscription_ack') as ServerMessages['subscription_ack']).payload
    await first.close()
    app.missions.get('bob-1')!.complete()
    app.missions.get('ann-1')!.complete()
    const { checksum: _, ...cursor } = asOf!
    const resumed = await as(app, ann)
    resumed.send({ type: 'subscribe', channels: ['mission_update'], since: { mission_update: cursor } })
    t.strictSame(idsOf(await resumed.settle()), ['ann-1 completed'])
    const late = await as(app, ann)
    late.send({ type: 'subscribe', channels: ['mission_update'], endings: 10 })
    t.strictSame(idsOf(await late.settle()).filter((text) => text.endsWith('completed')), ['ann-1 completed'])
    const newest = await as(app, bob)
    newest.send({ type: 'subscribe', channels: ['mission_update'], endings: 1 })
    t.strictSame(idsOf(await newest.settle()).filter((text) => text.endsWith('completed')), ['bob-1 completed'], 'the newest that may be seen')
    const foreign = await as(app, ann)
    foreign.send({ type: 'subscribe', channels: ['mission_update'], since: { mission_update: { ...cursor, epoch: 'foreign' } } })
    t.strictSame(idsOf(await foreign.settle()).sort(), ['ann-1 completed', 'ann-2 execution_started'])
    for (const one of [resumed, late, newest, foreign]) await one.close()
  })

  t.test('by id, over HTTP, and for commands', async (t) => {
    app.missions.handle({ cancel: {} })
    for (const [id, isTheirs] of [['ann-2', true], ['bob-2', false], ['ann-1', true], ['bob-1', false], ['unknown', false]] as const) {
      client.send({ type: 'mission_get', missionId: id, id })
      client.send({ type: 'mission_cancel', missionId: id, id: `cancel ${id}` })
      const answers = (await client.settle()).filter((message) => 'replyTo' in message && message.replyTo !== undefined)
      t.strictSame(answers.map((answer) => answer.type === 'protocol_error' ? answer.error.code : answer.type), isTheirs ? ['mission_update', 'mission_ack'] : ['unknown_mission', 'unknown_mission'], id)
      t.equal((await app.inject({ url: `/missions/${id}`, headers: headersOf(ann) })).statusCode, isTheirs ? 200 : 404)
    }
    const list = (await app.inject({ url: '/missions', headers: headersOf(ann) })).json()
    t.strictSame(list.missions.map(({ id }: { id: string }) => id), ['ann-2', 'ann-1'])
    const { payload } = await client.send({ type: 'mission_list' }).next('mission_list')
    t.strictSame(payload.missions.map(({ id }) => id), ['ann-2', 'ann-1'])
  })

  t.test('with a filter of their own', async (t) => {
    client.send({ type: 'unsubscribe', channels: ['mission_update'] })
    client.send({ type: 'subscribe', channels: ['mission_update'], filter: { missionIds: ['ann-2', 'bob-2'], tags: ['all'] } })
    t.strictSame(idsOf(await client.settle()), ['ann-2 execution_started'])
    app.missions.get('bob-2')!.executionStarted()
    t.strictSame(idsOf(await client.settle()), [])
  })

  t.test('and what the host publishes of a mission that is not tracked', async (t) => {
    client.send({ type: 'subscribe', channels: ['mission_update'] })
    await client.settle()
    for (const owner of ['ann', 'bob']) {
      app.missionControl.publish('mission_update', { missionId: `${owner}-x`, name: 'x', status: 'planned', seq: 1, metadata: { owner } }, { tenant: 'acme' })
    }
    t.strictSame(idsOf(await client.settle()), ['ann-x planned'])
    const operator = await as(app, { id: 'ann' })
    await operator.subscribe('mission_update')
    await operator.settle()
    for (const owner of ['ann', 'bob']) {
      app.missionControl.publish('mission_update', { missionId: `${owner}-y`, name: 'y', status: 'planned', seq: 1, metadata: { owner } })
    }
    t.strictSame(idsOf(await operator.settle()), ['ann-y planned'], 'to operators too')
  })
})

t.test('with narrower rights, a client receives nothing that it may no longer see', async (t) => {
  const { app } = await serve(t, {
    authorize: (principal, { mission }) => mission === undefined || (principal as unknown as { names: string[] }).names.includes(mission.name),
    refresh: (token) => JSON.parse(token) as { id: string }
  })
  const ann = { id: 'ann', tenant: 'acme' }
  // More than the system buffers.
  for (let at = 0; at < 4_000; at++) app.missions.start({ name: at % 20 === 0 ? 'open' : 'secret', tenant: 'acme', objective: 'x'.repeat(2_000) })
  const client = await as(app, { ...ann, names: ['open', 'secret'] })
  client.send({ type: 'subscribe', channels: ['mission_update', 'mission_stats'] })
  client.send({ type: 'auth_refresh', token: JSON.stringify({ ...ann, names: ['open'] }) })
  await client.next('auth_refreshed')
  const after = client.received.length
  const { payload } = await client.next('subscription_gap')
  t.match(payload, { channel: 'mission_update', cause: 'overflow', messages: 200 })
  t.equal(payload.asOf?.checksum, missionChecksum(app.missions.list({ limit: 200, name: 'open' }).missions.map(({ id, status }) => ({ missionId: id, status }))))
  app.missions.start({ name: 'secret', tenant: 'acme' })
  app.missions.start({ id: 'last', name: 'open', tenant: 'acme' })
  await client.next('mission_update', ({ payload }) => payload.missionId === 'last')
  t.strictSame(new Set(updatesIn(client.received.slice(after)).map(({ name }) => name)), new Set(['open']))
})

t.test('with authorize, principals of any kind have snapshots of their own', async (t) => {
  class User {
    readonly id = 'ann'
    readonly tenant = 'acme'
    readonly self = this
    readonly names: Set<string>
    constructor (name: string) { this.names = new Set([name]) }
    toJSON () { throw new Error('not to be written') }
  }
  const { app } = await serve(t, {
    identify: ({ headers }) => new User(String(headers['x-name'])),
    authorize: (principal, { mission }) => mission === undefined || (principal as User).names.has(mission.name)
  })
  for (let at = 0; at < 300; at++) for (const name of ['a', 'b']) app.missions.start({ name, tenant: 'acme' })
  const clients = await Promise.all(['a', 'b'].map(async (name) => await connect(app, { headers: { 'x-name': name } })))
  for (const client of clients) client.send({ type: 'subscribe', channels: ['mission_update'] })
  const seen = await Promise.all(clients.map(async (client) => [...new Set(updatesIn(await client.settle()).map(({ name }) => name))]))
  t.strictSame(seen, [['a'], ['b']])
})

t.test('the tenant of a mission is in its first update, in snapshots and in its ending for late subscribers', async (t) => {
  const { app } = await serve(t)
  const [operator, acme] = [await as(app, { id: 'root' }), await as(app, { id: 'ann', tenant: 'acme' })]
  for (const client of [operator, acme]) await client.subscribe('mission_update')
  const mission = app.missions.start({ id: 'a', name: 'import', tenant: 'acme' })
  mission.planned()
  app.missions.start({ id: 'b', name: 'import' })
  const tenants = async (client: Client) => (await client.settle()).flatMap((message) => message.type === 'mission_update' ? [`${message.payload.missionId} ${message.payload.tenant}`] : [])
  t.strictSame(await tenants(operator), ['a acme', 'a undefined', 'b undefined'])
  t.strictSame(await tenants(acme), ['a acme', 'a undefined'])
  const late = await as(app, { id: 'root' })
  await late.subscribe('mission_update')
  t.strictSame(await tenants(late), ['a acme', 'b undefined'])
  mission.complete()
  late.send({ type: 'mission_get', missionId: 'a', id: 'g' })
  t.match(await late.next('mission_update', ({ replyTo }) => replyTo === 'g'), { payload: { status: 'completed', tenant: 'acme' } })
  const later = await as(app, { id: 'root' })
  later.send({ type: 'subscribe', channels: ['mission_update'], endings: 5 })
  t.strictSame((await tenants(later)).sort(), ['a acme', 'b undefined'])
})

t.test('a host may publish to one tenant and to operators', async (t) => {
  const { app } = await serve(t)
  const clients = await Promise.all([{ id: 'a', tenant: 'acme' }, { id: 'o', tenant: 'other' }, { id: 'root' }].map(async (principal) => await as(app, principal)))
  for (const client of clients) await client.subscribe('mission_update')
  app.missionControl.publish('mission_update', { missionId: 'a', name: 'a', status: 'planned', seq: 1 }, { tenant: 'acme' })
  app.missionControl.publish('mission_update', { missionId: 'all', name: 'a', status: 'planned', seq: 1 })
  app.missionControl.publish('mission_update', { missionId: 'none', name: 'a', status: 'planned', seq: 1 }, { tenant: 'not connected' })
  const received = await Promise.all(clients.map(async (client) => updatesIn(await client.settle()).map(({ missionId }) => missionId)))
  t.strictSame(received, [['a'], [], ['a', 'all', 'none']])
})

t.test('a mission that a client starts is of its tenant, before its first update', async (t) => {
  const { app } = await serve(t)
  const acme = await as(app, { id: 'ann', tenant: 'acme' })
  const other = await as(app, { id: 'bob', tenant: 'other' })
  for (const client of [acme, other]) await client.subscribe('mission_update')
  app.missions.start({ id: 'taken', name: 'job', tenant: 'other' })
  await other.settle()
  app.missions.handle({
    start: {
      start: (command, { principal }) => {
        if (command === 'foreign') return app.missions.start({ id: 'taken', name: 'job' })
        t.equal(principal?.id, 'ann')
        return command === 'explicit' ? app.missions.start({ name: command, tenant: 'other' }) : app.missions.start(command)
      }
    }
  })
  acme.send({ type: 'mission_start', command: 'go', id: 'a' })
  const { payload: { missionId } } = await acme.next('mission_ack')
  t.equal((await acme.next('mission_update')).payload.missionId, missionId)
  t.equal(app.missions.get(missionId)!.tenant, 'acme')
  for (const command of ['foreign', 'explicit']) {
    acme.send({ type: 'mission_start', command, id: command })
    t.match(await acme.next('protocol_error'), { replyTo: command, error: { code: 'internal_error' } }, 'an id of another tenant is not told')
  }
  t.notOk(updatesIn(await acme.settle()).some(({ missionId: id }) => id === 'taken'))
})

t.test('the matrix of roles, actions and channels holds at the doors', async (t) => {
  const roles = ['none', 'reader', 'all'] as const
  const grants: Record<string, (question: AccessQuestion) => boolean> = {
    none: () => false,
    reader: ({ action, channel }) => action === 'see' || (['subscribe', 'replay'].includes(action) && channel !== 'health_delta'),
    all: () => true
  }
  const { app } = await serve(t, { authorize: ({ roles: [role] = [] }, question) => grants[role!]!(question) })
  app.missions.handle({ start: { start: (command) => app.missions.start(command) }, cancel: {} })
  const mission = app.missions.start({ name: 'job', tenant: 'acme' })
  const isOfProcess = (tenant: string | undefined, action: string, channel?: string) =>
    tenant !== undefined && (channel === 'metrics_tick' || action === 'metrics' || action === 'health_details')
  let cells = 0
  for (const tenant of ['acme', undefined]) {
    for (const role of roles) {
      const principal = { id: `${role} ${tenant}`, roles: [role], ...(tenant !== undefined && { tenant }) }
      const may = (action: (typeof ACCESS_ACTIONS)[number], channel?: (typeof CHANNEL_NAMES)[number]) => {
        cells++
        return !isOfProcess(tenant, action, channel) && grants[role]!({ action, ...(channel && { channel }) })
      }
      const client = await as(app, principal)
      for (const channel of CHANNEL_NAMES) {
        client.send({ type: 'subscribe', channels: [channel], id: channel })
        const answers = (await client.settle()).filter((message) => 'replyTo' in message && message.replyTo === channel)
        t.equal(answers[0]?.type, may('subscribe', channel) ? 'subscription_ack' : 'subscription_error', `${principal.id} subscribes to ${channel}`)
      }
      t.strictSame((await client.send({ type: 'whoami' }).next('whoami')).payload.channels, CHANNEL_NAMES.filter((channel) => may('subscribe', channel)))
      const commands = ['mission_start', 'mission_cancel'].filter((command) => may(command === 'mission_start' ? 'start' : 'cancel'))
      t.strictSame((await client.send({ type: 'whoami' }).next('whoami')).payload.capabilities, commands)
      const ended = app.missions.start({ name: 'ended', tenant: 'acme' })
      ended.complete()
      await client.settle()
      const get = async (missionId: string) => (await client.send({ type: 'mission_get', missionId, id: 'get' }).settle()).find((message) => 'replyTo' in message && message.replyTo === 'get')!.type
      t.equal(await get(mission.id), may('subscribe', 'mission_update') && may('see') ? 'mission_update' : 'protocol_error')
      t.equal(await get(ended.id), may('replay', 'mission_update') && may('see') ? 'mission_update' : 'protocol_error')
      t.equal((await app.inject({ url: `/missions/${mission.id}`, headers: headersOf(principal) })).statusCode, may('see') ? 200 : 404)
      client.send({ type: 'mission_start', command: 'go', id: 'start' })
      const started = (await client.settle()).find((message) => 'replyTo' in message && message.replyTo === 'start')!
      t.match(started, may('start') ? { type: 'mission_ack' } : { type: 'protocol_error', error: { code: 'forbidden' } })
      client.send({ type: 'mission_cancel', missionId: mission.id, id: 'cancel' })
      const cancelled = (await client.settle()).find((message) => 'replyTo' in message && message.replyTo === 'cancel')!
      t.match(cancelled, may('see') && may('cancel') ? { type: 'mission_ack' } : { type: 'protocol_error', error: { code: 'unknown_mission' } })
      for (const url of ['/mission-control/ws-metrics', '/api/v1/metrics/prometheus']) {
        t.equal((await app.inject({ url, headers: headersOf(principal) })).statusCode, may('metrics') ? 200 : 403, url)
      }
      t.not((await app.inject({ url: '/health?details=true', headers: headersOf(principal) })).statusCode === 403, may('health_details'))
    }
  }
  t.ok(cells > 60, `${cells} cells`)
})

t.test('health for a tenant is the status, without components', async (t) => {
  const { app, clock } = await serve(t)
  app.monitoring.addHealthCheck({ name: 'canary-database', critical: true, run: () => { throw new Error('down') } })
  const client = await as(app, { id: 'ann', tenant: 'acme' })
  const operator = await as(app, { id: 'root' })
  for (const one of [client, operator]) await one.subscribe('health_delta', 'anomaly_alert')
  clock.advance(60_000)
  for (let at = 0; at < 5; at++) await new Promise((resolve) => setImmediate(resolve))
  clock.advance(60_000)
  await client.settle()
  await operator.settle()
  const text = (one: Client) => JSON.stringify(one.received)
  t.match(text(client), /"status":"critical"/)
  t.notMatch(text(client), 'canary-database')
  t.match(text(operator), 'canary-database')
})

t.test('metrics by tenant, if the host asks for them', async (t) => {
  const lines = async (tenants: { max?: number, allow?: string[] } | undefined) => {
    const app = await boot(t, { clock: createVirtualClock(NOW), prometheus: tenants === undefined ? {} : { tenants } })
    for (const tenant of ['red', 'green', 'blue', '_other']) app.missions.start({ name: 'job', tenant }).complete()
    app.missions.start({ name: 'job', tenant: 'red' }).fail('broken')
    app.missions.start({ name: 'job', tenant: 'green' })
    app.missions.start('nobody')
    const { body } = await app.missionControl.metrics.render()
    return body.split('\n').filter((line) => line.startsWith('mission_control_tenant')).sort()
  }
  t.strictSame(await lines(undefined), [])
  t.strictSame(await lines({ max: 1 }), [
    'mission_control_tenant_missions_active{tenant="_other"} 2', 'mission_control_tenant_missions_active{tenant="red"} 0',
    'mission_control_tenant_missions_ended_total{tenant="_other",outcome="cancelled"} 0', 'mission_control_tenant_missions_ended_total{tenant="_other",outcome="completed"} 3',
    'mission_control_tenant_missions_ended_total{tenant="_other",outcome="errors"} 0', 'mission_control_tenant_missions_ended_total{tenant="red",outcome="cancelled"} 0',
    'mission_control_tenant_missions_ended_total{tenant="red",outcome="completed"} 1', 'mission_control_tenant_missions_ended_total{tenant="red",outcome="errors"} 1'
  ])
  t.strictSame((await lines({ allow: ['blue', 'green'] })).filter((line) => line.includes('active')), [
    'mission_control_tenant_missions_active{tenant="_other"} 1', 'mission_control_tenant_missions_active{tenant="blue"} 0', 'mission_control_tenant_missions_active{tenant="green"} 1'
  ])
})

t.test('a tenant that was away for long receives its endings, and costs nothing meanwhile', async (t) => {
  const { app, clock } = await serve(t)
  const acme = { id: 'ann', tenant: 'acme' }
  const end = (id: string) => app.missions.start({ id, name: 'job', tenant: 'acme' }).complete()
  const endingsOf = async () => {
    const client = await as(app, acme)
    client.send({ type: 'subscribe', channels: ['mission_update'], endings: 10 })
    const messages = await client.settle()
    const cursor = (messages.find((message) => message.type === 'subscription_ack') as ServerMessages['subscription_ack']).payload.asOf!
    return { client, cursor, ids: updatesIn(messages).map(({ missionId }) => missionId) }
  }
  const first = await endingsOf()
  for (const id of ['a', 'b', 'c']) end(id)
  await first.client.settle()
  await first.client.close()
  clock.advance(900_001)
  end('d')
  const logged = async () => /ws_log_messages (\d+)/.exec((await app.missionControl.metrics.render()).body)![1]
  t.equal(await logged(), '0', 'nothing is logged for a tenant without clients')
  const second = await endingsOf()
  t.strictSame(second.ids, ['a', 'b', 'c', 'd'])
  t.equal(second.cursor.offset, 0, 'a new log')
  t.not(second.cursor.epoch, first.cursor.epoch)
  end('e')
  t.match(await second.client.next('mission_update', ({ payload }) => payload.status === 'completed'), { position: { offset: 2 }, payload: { missionId: 'e' } })
  const { checksum: _, ...since } = first.cursor
  const resumed = await as(app, acme)
  resumed.send({ type: 'subscribe', channels: ['mission_update'], since: { mission_update: since } })
  const messages = await resumed.settle()
  t.match(messages[0], { payload: { outcome: 'gap', gap: { cause: 'epoch_changed' } } })
  t.strictSame(updatesIn(messages).map(({ missionId }) => missionId), ['a', 'b', 'c', 'd', 'e'])
})

t.test('of many tenants without clients, those that left last can resume', async (t) => {
  const { app } = await serve(t)
  const visit = async (tenant: string, since?: object) => {
    const client = await as(app, { id: 'ann', tenant })
    client.send({ type: 'subscribe', channels: ['mission_update'], ...(since !== undefined && { since: { mission_update: since } }) })
    const ack = (await client.settle())[0] as ServerMessages['subscription_ack']
    const { checksum: _, ...cursor } = ack.payload.asOf!
    return { client, cursor, outcome: ack.payload.outcome }
  }
  const leave = async ({ client }: { client: Client }) => { await client.close() }
  const staying = await visit('staying')
  const oldest = await visit('oldest')
  await leave(oldest)
  const next = await visit('next')
  await leave(next)
  for (let at = 0; at < 999; at++) await leave(await visit(`tenant ${at}`))
  t.equal((await visit('oldest', oldest.cursor)).outcome, 'gap', 'it was gone')
  t.equal((await visit('next', next.cursor)).outcome, 'resumed')
  t.equal((await visit('staying', staying.cursor)).outcome, 'resumed')
})

t.test('alerts of a tenant are about its own missions', async (t) => {
  const { app, clock } = await serve(t)
  const [busy, quiet, operator] = await Promise.all([{ id: 'a', tenant: 'busy' }, { id: 'b', tenant: 'quiet' }, { id: 'root' }].map(async (principal) => await as(app, principal)))
  for (const client of [busy!, quiet!, operator!]) await client.subscribe('anomaly_alert')
  for (let at = 0; at < 12; at++) app.missions.start({ name: 'job', tenant: 'busy' })
  app.missions.start({ name: 'job', tenant: 'quiet' })
  clock.advance(75_000)
  const alertsOf = async (client: Client) => (await client.settle()).flatMap((message) => message.type === 'anomaly_alert' ? [[message.payload.rule, message.payload.value]] : [])
  t.strictSame(await Promise.all([busy!, quiet!, operator!].map(alertsOf)), [[['mission_active', 12]], [], [['mission_active', 13]]])
  const late = await as(app, { id: 'c', tenant: 'quiet' })
  late.send({ type: 'subscribe', channels: ['anomaly_alert'] })
  t.strictSame(await alertsOf(late), [], 'nor in the snapshot')
})
