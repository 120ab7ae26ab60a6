import swagger from '@fastify/swagger'
import type { TSchema } from '@sinclair/typebox'
import Fastify, { type FastifyInstance, type FastifyRequest, type InjectOptions, type LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import missionControl, { type AccessOptions, type MissionControlOptions } from '../lib/index.js'
import type { Mission } from '../lib/missions/index.js'
import { compile } from '../lib/base/validation.js'
import { type AccessQuestion, CancelResponse, ErrorResponse, MissionListResponse, MissionView } from '../schemas/index.js'
import { boot, uncaught } from './support/app.js'

const URL = '/mission-control/missions'
const UNKNOWN = 'mission_00000000-0000-4000-8000-000000000000'

const serve = async (t: Test, options: MissionControlOptions = {}) =>
  await boot(t, { ...options, routes: { missions: URL, ...options.routes } })

const SCHEMAS: Record<string, TSchema> = { list: MissionListResponse, one: MissionView, cancel: CancelResponse, error: ErrorResponse }
const validators = new Map(Object.entries(SCHEMAS).map(([name, schema]) => [name, compile(schema)]))

/** Checks a response against the schema of its kind and for `no-store`, and returns its body. */
function read<Body> (t: Test, kind: keyof typeof SCHEMAS, response: LightMyRequestResponse): Body {
  const body = response.json<Body>()
  const validate = validators.get(kind)!
  t.ok(validate(body), JSON.stringify([body, validate.errors]))
  t.equal(response.headers['cache-control'], 'no-store')
  t.match(response.headers['content-type'], /^application\/json/)
  return body
}

async function list (t: Test, app: FastifyInstance, query = ''): Promise<MissionListResponse> {
  const response = await app.inject(`${URL}${query}`)
  t.equal(response.statusCode, 200, response.body)
  return read<MissionListResponse>(t, 'list', response)
}

const idsOf = ({ missions }: MissionListResponse): string[] => missions.map(({ id }) => id)

const post = (path: string, headers: Record<string, string> = {}): InjectOptions =>
  ({ method: 'POST', url: path, headers: { host: 'ops.example.com', ...headers } })

/** Each client is of the tenant that its header names. */
const BY_TENANT: AccessOptions = { identify: ({ headers }) => ({ id: 'ann', tenant: String(headers['x-tenant']) }) }

/** Each client is an operator, and may only see the missions of one tenant. */
const BY_TEAM: AccessOptions = {
  identify: ({ headers }) => ({ id: String(headers['x-tenant']) }),
  authorize: ({ id }, { mission }) => mission === undefined || mission.tenant === id
}

const tenantOf = ({ request }: { request: unknown }) => (request as FastifyRequest).headers['x-tenant']

t.test('the mission routes do not exist without the option routes.missions', async (t) => {
  const app = await boot(t)
  const mission = app.missions.start('job')
  app.missions.handle({ cancel: {} })
  for (const path of [URL, `${URL}/${mission.id}`]) t.equal((await app.inject(path)).statusCode, 404)
  t.equal((await app.inject(post(`${URL}/${mission.id}/cancel`))).statusCode, 404)
})

t.test('the list', async (t) => {
  t.test('returns the views of missions, newest first', async (t) => {
    const app = await serve(t)
    t.same(await list(t, app), { missions: [], nextCursor: null })
    const job = app.missions.start({
      id: 'one', name: 'import', objective: 'all rows', tags: ['nightly'], metadata: { rows: [1, { a: null }] }, tenant: 'acme'
    })
    job.progress({ taskId: 'read', index: 1, total: 2, status: 'started' })
    job.waiting('for the upload')
    job.child('part').fail({ code: 'bad_row', message: 'row 7' })
    job.cancel({ reason: 'enough', by: 'ann' })
    const body = await list(t, app)
    t.same(body, JSON.parse(JSON.stringify(app.missions.list())))
    const part = { name: 'part', parentId: 'one', error: { code: 'bad_row' } }
    const one = { id: 'one', waiting: 'for the upload', cancel: { by: 'ann' }, tasks: [{ taskId: 'read' }] }
    t.match(body, { missions: [part, one], nextCursor: null })
  })

  t.test('accepts every filter in the query string, alone or combined', async (t) => {
    const clock = createVirtualClock(1_000)
    const app = await serve(t, { clock, missions: { stallMs: 50 } })
    app.missions.start({ id: 'a', name: 'import', tags: ['nightly', 'big'], tenant: 'acme' })
    clock.advance(100)
    app.missions.start({ id: 'b', name: 'export', tags: ['nightly'], tenant: 'globex', objective: 'All of the Rows' })
    app.missions.get('b')!.complete()
    clock.advance(100)
    app.missions.start({ id: 'c', name: 'import', tenant: 'acme' })
    const filters: Array<[string, string[]]> = [
      ['', ['c', 'b', 'a']], ['status=completed', ['b']], ['status=planning_started', ['c', 'a']],
      ['name=import', ['c', 'a']], ['name=imp', []],
      ['tag=nightly', ['b', 'a']], ['tenant=acme', ['c', 'a']], ['stalled=true', ['a']], ['stalled=false', ['c', 'b']],
      ['since=1100', ['c', 'b']], ['until=1100', ['a']], ['since=1100&until=1200', ['b']], ['since=0', ['c', 'b', 'a']], ['until=9999999999999999', ['c', 'b', 'a']],
      ['q=ROWS', ['b']], ['q=imp', ['c', 'a']], ['q=%20of%20', ['b']],
      ['name=import&stalled=false', ['c']], ['tag=nightly&tenant=acme&status=planning_started', ['a']],
      ['limit=2', ['c', 'b']], ['limit=1&name=export', ['b']]
    ]
    for (const [query, ids] of filters) t.same(idsOf(await list(t, app, `?${query}`)), ids, query)
  })

  t.test('rejects an invalid query without repeating it', async (t) => {
    const app = await serve(t)
    app.missions.start('job')
    const queries = [
      'canary=1', 'status=canary', 'status=completed&status=canary', 'status=', 'name=canary&name=canary',
      'limit=canary', 'limit=0', 'limit=201', 'limit=1.5', 'limit=', 'stalled=canary', 'stalled=1', 'since=canary', 'until=NaN',
      'cursor=canary', 'cursor=12345678901234567', 'cursor=-1', 'cursor=',
      `q=${'canary'.repeat(30)}`, `tenant=${'canary'.repeat(30)}`, '__proto__=canary', 'constructor=canary', 'limit[]=1'
    ]
    for (const query of queries) {
      const response = await app.inject(`${URL}?${query}`)
      t.equal(response.statusCode, 400, query)
      t.match(read(t, 'error', response), { code: 'FST_ERR_VALIDATION', message: /^querystring / })
      t.notMatch(response.body, 'canary')
    }
  })

  t.test('accepts numbers in decimal digits only', async (t) => {
    const app = await serve(t)
    const numbers = ['Infinity', '-Infinity', '1e400', '-1e400', 'NaN', '-1', '-0', '1.5', '0.1', '1e1', '0x10', '%205', '+5', '12345678901234567', '5&NAME=6', '']
    for (const name of ['since', 'until', 'limit']) {
      t.equal((await app.inject(`${URL}?${name}=20`)).statusCode, 200)
      for (const number of numbers) {
        const response = await app.inject(`${URL}?${name}=${number.replace('NAME', name)}`)
        t.equal(response.statusCode, 400, `${name}=${number}`)
        t.match(read(t, 'error', response), { code: 'FST_ERR_VALIDATION', message: `querystring ${name} must be integer` })
      }
    }
  })

  t.test('has pages that neither repeat nor skip a mission when others start in between', async (t) => {
    const app = await serve(t)
    for (const id of ['a', 'b', 'c', 'd', 'e']) app.missions.start({ id, name: 'job' })
    const listed: string[] = []
    let query = '?limit=2'
    for (let pages = 1; ; pages++) {
      const page = await list(t, app, query)
      listed.push(...idsOf(page))
      app.missions.start(`meanwhile ${pages}`)
      if (page.nextCursor === null) break
      query = `?limit=2&cursor=${page.nextCursor}`
    }
    t.same(listed, ['e', 'd', 'c', 'b', 'a'])
    for (let i = 0; i < 60; i++) app.missions.start('more')
    t.equal((await list(t, app)).missions.length, 50, 'the default limit is 50')
    t.equal((await list(t, app, '?limit=200')).missions.length, 68)
  })

  t.test('omits missions that are not visible to the client, and still fills its pages', async (t) => {
    for (const access of [BY_TENANT, BY_TEAM]) {
      const requests: FastifyRequest[] = []
      const identify: typeof access.identify = (request) => {
        requests.push(request)
        return access.identify(request)
      }
      const app = await serve(t, { access: { ...access, identify } })
      for (let i = 0; i < 6; i++) app.missions.start({ id: `${i}`, name: 'job', tenant: i % 2 === 0 ? 'acme' : 'globex' })
      const page = async (query: string, tenant = 'acme') => {
        const response = await app.inject({ url: `${URL}?${query}`, headers: { 'x-tenant': tenant } })
        t.notMatch(response.body, 'globex')
        return read<MissionListResponse>(t, 'list', response)
      }
      const first = await page('limit=2')
      t.same(idsOf(first), ['4', '2'])
      const last = await page(`limit=2&cursor=${first.nextCursor}`)
      t.same([idsOf(last), last.nextCursor], [['0'], null])
      t.same(idsOf(await page('tenant=globex')), [], 'a filter shows no more')
      t.same(idsOf(await page('', 'unknown')), [])
      t.match(requests.map(({ url }) => url), Array(4).fill(/mission-control/), 'each request is identified once')
    }
  })

  t.test('hides a mission for which access.authorize throws or does not return true', async (t) => {
    let answer: () => unknown
    const authorize = (_principal: unknown, { action, mission }: AccessQuestion) => action === 'see' && (mission!.name !== 'bad' || answer() as boolean)
    const app = await serve(t, { access: { identify: () => ({ id: 'ann' }), authorize } })
    const [good, bad] = [app.missions.start('good'), app.missions.start('bad')]
    const failures: Array<() => unknown> = [
      () => { throw new Error('canary') }, () => 'yes', () => 1, () => undefined,
      async () => true, async () => { throw new Error('canary') }
    ]
    const caught = await uncaught(async () => {
      for (const failure of failures) {
        answer = failure
        t.same(idsOf(await list(t, app)), [good.id])
        t.equal((await app.inject(`${URL}/${bad.id}`)).statusCode, 404)
      }
    })
    t.same(caught, [])
    t.match((await app.missionControl.metrics.render()).body, /callback_errors_total\{callback="authorize"\} 6$/m, 'those that threw or returned a promise, twice each')
  })
})

t.test('one mission', async (t) => {
  t.test('is returned as its view, active or ended', async (t) => {
    const app = await serve(t)
    const mission = app.missions.start({ name: 'job', metadata: { rows: 3 } })
    const acts = [() => {}, () => mission.planned({ steps: 2 }), () => mission.fail(new TypeError('broken')), () => mission.complete()]
    for (const act of acts) {
      act()
      const response = await app.inject(`${URL}/${mission.id}`)
      t.equal(response.statusCode, 200)
      t.same(read(t, 'one', response), JSON.parse(JSON.stringify(mission.view())))
    }
    t.match(mission.view(), { status: 'error', lateOutcome: 'completed' })
    t.notMatch((await app.inject(`${URL}/${mission.id}`)).body, /mission-routes\.test/, 'the error has no stack')
    t.equal((await app.inject({ method: 'HEAD', url: `${URL}/${mission.id}` })).statusCode, 200)
  })

  t.test('that is hidden is answered exactly like one that does not exist', async (t) => {
    for (const access of [BY_TENANT, BY_TEAM]) {
      const app = await serve(t, { access })
      const mission = app.missions.start({ name: 'job', tenant: 'acme' })
      const ask = async (id: string, tenant = 'other') => await app.inject({ url: `${URL}/${id}`, headers: { 'x-tenant': tenant } })
      const [hidden, unknown] = [await ask(mission.id), await ask(UNKNOWN)]
      t.equal(hidden.statusCode, 404)
      t.match(read(t, 'error', hidden), { code: 'FST_MC_MISSION_NOT_FOUND' })
      t.equal(hidden.body, unknown.body)
      const { date: _, ...headers } = hidden.headers
      const { date: __, ...unknownHeaders } = unknown.headers
      t.same(headers, unknownHeaders)
      t.equal((await ask(mission.id, 'acme')).statusCode, 200)
    }
  })

  t.test('is found by every valid id', async (t) => {
    const app = await boot(t, { routes: { missions: URL } }, { routerOptions: { maxParamLength: 128 } })
    app.missions.handle({ cancel: {} })
    for (const id of ['a/b', 'order 7', '%', '?#', 'ü', '__proto__', 'x'.repeat(128)]) {
      app.missions.start({ id, name: 'job' })
      const path = `${URL}/${encodeURIComponent(id)}`
      t.equal((await app.inject(path)).json<MissionView>().id, id)
      t.match((await app.inject(post(`${path}/cancel`))).json(), { missionId: id, result: 'requested' })
    }
    t.equal((await app.inject(`${URL}/toString`)).statusCode, 404)
  })

  t.test('with an id beyond maxParamLength of the host is listed, and refused by its router', async (t) => {
    const app = await serve(t)
    const mission = app.missions.start({ id: 'x'.repeat(101), name: 'job' })
    t.equal((await app.inject(`${URL}/${mission.id}`)).statusCode, 414)
    t.same(idsOf(await list(t, app)), [mission.id])
  })

  t.test('with an invalid id is answered with 400', async (t) => {
    const app = await boot(t, { routes: { missions: URL } }, { routerOptions: { maxParamLength: 500 } })
    const response = await app.inject(`${URL}/${'canary'.repeat(45)}`)
    t.equal(response.statusCode, 400)
    read(t, 'error', response)
    t.notMatch(response.body, 'canary')
  })
})

t.test('cancel', async (t) => {
  t.test('returns the result of the request', async (t) => {
    const app = await serve(t)
    app.missions.handle({ cancel: {} })
    const mission = app.missions.start('job')
    const { signal } = mission
    const ask = async () => {
      const response = await app.inject(post(`${URL}/${mission.id}/cancel`))
      t.equal(response.statusCode, 202)
      const { missionId, result } = read<CancelResponse>(t, 'cancel', response)
      t.equal(missionId, mission.id)
      return result
    }
    t.equal(await ask(), 'requested')
    t.equal(signal.aborted, true)
    t.match(mission.view(), { status: 'planning_started', cancel: { kind: 'client', reason: null, by: null } })
    t.equal(await ask(), 'already_requested')
    mission.report('cancelled')
    t.equal(await ask(), 'terminal')
  })

  t.test('is answered with 501 until the host allows it', async (t) => {
    const app = await serve(t)
    const mission = app.missions.start('job')
    for (const handlers of [{}, { start: { start: () => mission } }]) {
      app.missions.handle(handlers)
      for (const id of [mission.id, UNKNOWN]) {
        const response = await app.inject(post(`${URL}/${id}/cancel`))
        t.equal(response.statusCode, 501)
        t.match(read(t, 'error', response), { code: 'FST_MC_UNSUPPORTED' })
      }
    }
    t.equal(mission.view().cancel, null)
  })

  t.test('calls cancel.authorize, and hides a mission that it refuses', async (t) => {
    const app = await serve(t)
    const mission = app.missions.start({ name: 'job', tenant: 'acme' })
    const contexts: unknown[] = []
    app.missions.handle({
      cancel: {
        authorize: async (mission, context) => {
          contexts.push(context)
          return mission.tenant === tenantOf(context)
        }
      }
    })
    const [refused, unknown] = await Promise.all([mission.id, UNKNOWN].map(async (id) => await app.inject(post(`${URL}/${id}/cancel`))))
    t.equal(refused!.statusCode, 404)
    t.match(read(t, 'error', refused!), { code: 'FST_MC_MISSION_NOT_FOUND' })
    t.equal(refused!.body, unknown!.body)
    t.equal(mission.view().cancel, null)
    t.match(contexts, [{ connectionId: null, request: { params: { id: mission.id } } }])
    t.equal((await app.inject(post(`${URL}/${mission.id}/cancel`, { 'x-tenant': 'acme' }))).statusCode, 202)
  })

  t.test('of a mission that is not visible to the client is answered with 404', async (t) => {
    for (const access of [BY_TENANT, BY_TEAM]) {
      const app = await serve(t, { access })
      const mission = app.missions.start({ name: 'job', tenant: 'acme' })
      app.missions.handle({ cancel: {} })
      const ask = async (id: string, tenant: string) => await app.inject(post(`${URL}/${id}/cancel`, { 'x-tenant': tenant }))
      const [hidden, unknown] = [await ask(mission.id, 'other'), await ask(UNKNOWN, 'other')]
      t.equal(hidden.statusCode, 404)
      t.equal(hidden.body, unknown.body)
      t.equal(mission.view().cancel, null)
      t.equal((await ask(mission.id, 'acme')).statusCode, 202)
    }
  })

  t.test('hides why a handler failed, and waits for it at most 10 s', async (t) => {
    const clock = createVirtualClock()
    const app = await serve(t, { clock })
    const mission = app.missions.start('job')
    const ask = async () => {
      const response = await app.inject(post(`${URL}/${mission.id}/cancel`))
      t.equal(response.statusCode, 500)
      t.match(read(t, 'error', response), { code: 'FST_MC_COMMAND_FAILED' })
      t.notMatch(response.body, 'canary')
    }
    for (const authorize of [() => { throw new Error('canary') }, async () => { throw new Error('canary') }]) {
      app.missions.handle({ cancel: { authorize } })
      await ask()
    }
    app.missions.handle({
      cancel: {
        authorize: () => new Promise(() => { setImmediate(() => clock.advance(10_000)) })
      }
    })
    await ask()
    t.equal(mission.view().cancel, null)
  })

  t.test('is refused for pages of other origins', async (t) => {
    const app = await serve(t)
    app.missions.handle({ cancel: {} })
    const mission = app.missions.start('job')
    const path = `${URL}/${mission.id}/cancel`
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const origins = ['https://evil.example.com', 'http://ops.example.com.evil.example', 'http://ops.example.com:81', 'null', '']
    for (const origin of origins) {
      for (const headers of [{ origin }, { origin, ...form }]) {
        const response = await app.inject({ ...post(path, headers), ...('content-type' in headers && { payload: 'a=1' }) })
        t.equal(response.statusCode, 403, origin)
        t.match(read(t, 'error', response), { code: 'FST_MC_ORIGIN_REFUSED' })
      }
    }
    t.equal(mission.view().cancel, null)
    t.equal((await app.inject(post(path, { origin: 'http://ops.example.com' }))).statusCode, 202, 'pages of its own origin may cancel')
  })

  t.test('is allowed for the pages of websocket.allowedOrigins', async (t) => {
    const app = await serve(t, { websocket: { allowedOrigins: ['https://desk.example.com'] } })
    app.missions.handle({ cancel: {} })
    const { id } = app.missions.start('job')
    const ask = async (origin: string) => (await app.inject(post(`${URL}/${id}/cancel`, { origin }))).statusCode
    t.same([await ask('https://desk.example.com'), await ask('http://ops.example.com')], [202, 403])
  })

  t.test('accepts only POST', async (t) => {
    const app = await serve(t)
    app.missions.handle({ cancel: {} })
    const mission = app.missions.start('job')
    for (const method of ['GET', 'PUT', 'DELETE'] as const) {
      t.equal((await app.inject({ method, url: `${URL}/${mission.id}/cancel` })).statusCode, 404)
    }
    t.equal(mission.view().cancel, null)
  })
})

t.test('the onRequest hooks of the host run before validation and handlers on every route', async (t) => {
  const users: Record<'identified' | 'handled', unknown[]> = { identified: [], handled: [] }
  const app = await serve(t, {
    access: {
      identify (request) {
        const { user } = request as unknown as { user: string }
        users.identified.push(user)
        return { id: user }
      }
    },
    onRequest: async (request, reply) => {
      if (request.headers['x-user'] === undefined) await reply.code(401).send({ message: 'not allowed' })
      else Object.assign(request, { user: request.headers['x-user'] })
    }
  })
  const mission = app.missions.start('job')
  const note = (_mission: Mission, { request }: { request: unknown }) => users.handled.push((request as { user: string }).user) > 0
  app.missions.handle({ cancel: { authorize: note } })
  const requests: InjectOptions[] = [
    { url: URL },
    { url: `${URL}?canary=1` },
    { url: `${URL}/${mission.id}` },
    post(`${URL}/${mission.id}/cancel`),
    post(`${URL}/x/cancel`, { origin: 'https://evil.example.com' })
  ]
  for (const request of requests) t.equal((await app.inject(request)).statusCode, 401, JSON.stringify(request))
  t.same(users, { identified: [], handled: [] })
  t.equal(mission.view().cancel, null)
  const allowed = requests.map((request) => ({ ...request, headers: { ...request.headers, 'x-user': 'ann' } }))
  const statuses: number[] = []
  for (const request of allowed) statuses.push((await app.inject(request)).statusCode)
  t.same(statuses, [200, 400, 200, 202, 403])
  t.same(users, { identified: Array(5).fill('ann'), handled: ['ann'] }, 'identify and handlers receive the request that the hooks extended')
})

t.test('the routes are mounted under prefix and routes.missions', async (t) => {
  const places: Array<[MissionControlOptions, string, string]> = [
    [{ prefix: '/ops', routes: { missions: URL } }, `/ops${URL}`, `/ops${URL}`],
    [{ routes: { missions: '/jobs/' } }, '/jobs/', '/jobs'],
    [{ routes: { missions: '/' } }, '/', ''],
    [{ prefix: '/ops', routes: { missions: '/' } }, '/ops/', '/ops']
  ]
  for (const [options, listPath, base] of places) {
    const app = await boot(t, options)
    app.missions.handle({ cancel: {} })
    const { id } = app.missions.start('job')
    t.equal((await app.inject(listPath)).json<MissionListResponse>().missions.length, 1, listPath)
    t.equal((await app.inject(`${base}/${id}`)).json<MissionView>().id, id)
    t.equal((await app.inject(post(`${base}/${id}/cancel`))).statusCode, 202)
  }
})

t.test('routes of the host keep their own cache headers', async (t) => {
  const app = await serve(t)
  app.get('/mine', async () => 'mine')
  t.equal((await app.inject('/mine')).headers['cache-control'], undefined)
})

t.test('the routes work beside validator and serializer compilers for other kinds of schemas', async (t) => {
  const app = Fastify({ schemaErrorFormatter: () => { throw new Error('only for schemas of its own kind') } })
  t.teardown(() => app.close())
  const parse = ({ schema }: { schema: unknown }) => {
    const { safeParse } = schema as { safeParse?: (data: unknown) => { success: boolean, error?: Error } }
    if (safeParse === undefined) throw new Error('not a schema of that kind')
    return safeParse
  }
  app.setValidatorCompiler((route) => {
    const safeParse = parse(route)
    return (data: unknown) => safeParse(data).error === undefined
  })
  app.setSerializerCompiler((route) => {
    parse(route)
    return (data: unknown) => `"${typeof data}"`
  })
  await app.register(missionControl, { routes: { missions: URL } })
  app.missions.handle({ cancel: {} })
  const mission = app.missions.start({ name: 'job', metadata: { rows: 3 } })
  t.same((await list(t, app, '?limit=1')).missions, [JSON.parse(JSON.stringify(mission.view()))])
  read(t, 'one', await app.inject(`${URL}/${mission.id}`))
  t.equal((await app.inject(`${URL}?limit=canary`)).statusCode, 400)
  read(t, 'cancel', await app.inject(post(`${URL}/${mission.id}/cancel`)))
  t.equal((await app.inject(post(`${URL}/${UNKNOWN}/cancel`))).statusCode, 404)
})

t.test('@fastify/swagger documents the routes with their parameters and responses', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: { info: { title: 'host', version: '1.0.0' } } })
  await app.register(missionControl, { prefix: '/ops', routes: { missions: URL } })
  await app.ready()
  const { paths } = app.swagger() as unknown as { paths: Record<string, Record<string, Operation>> }
  const lists = paths[`/ops${URL}`]!['get']!
  const one = paths[`/ops${URL}/{id}`]!['get']!
  const cancel = paths[`/ops${URL}/{id}/cancel`]!['post']!
  const names = ['cursor', 'limit', 'name', 'parentId', 'q', 'since', 'stalled', 'status', 'tag', 'tenant', 'until']
  t.same(lists.parameters!.map(({ in: place, name }) => `${place} ${name}`).sort(), names.map((name) => `query ${name}`))
  const id = { in: 'path', name: 'id', required: true, schema: { minLength: 1, maxLength: 256 } }
  for (const operation of [one, cancel]) t.match(operation.parameters, [id])
  for (const operation of [lists, one, cancel]) t.match(operation.summary, /^[A-Z]/)
  t.same([lists, one, cancel].map(({ responses }) => Object.keys(responses)),
    [['200', '400'], ['200', '400', '404'], ['202', '400', '403', '404', '500', '501', '503']])
  t.same(propertiesOf(one, '200'), Object.keys(MissionView.properties))
  t.same(propertiesOf(lists, '200'), ['missions', 'nextCursor'])
  const result = { anyOf: [{ enum: ['requested'] }, { enum: ['already_requested'] }, { enum: ['terminal'] }] }
  t.match(schemaOf(cancel, '202'), { properties: { result } })
  for (const status of ['400', '403', '404', '500', '501', '503']) {
    t.same(propertiesOf(cancel, status), ['statusCode', 'code', 'error', 'message'])
  }
  t.notOk(Object.keys(paths).some((path) => path.includes('/ws/')), 'the WebSocket route is not documented as an HTTP route')
})

interface Operation {
  summary: string
  parameters?: Array<{ in: string, name: string, required?: boolean, schema: object }>
  responses: Record<string, { content: Record<string, { schema: object }> }>
}

/** Returns the documented schema of one response. */
const schemaOf = ({ responses }: Operation, status: string): { properties: object } =>
  JSON.parse(JSON.stringify(responses[status]!.content['application/json']!.schema)) as { properties: object }

const propertiesOf = (operation: Operation, status: string): string[] => Object.keys(schemaOf(operation, status).properties)
