import { once } from 'node:events'
import { Type } from '@sinclair/typebox'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { createVirtualClock, type VirtualClock } from '../lib/base/virtual-clock.js'
import type { Mission, MissionHandlers } from '../lib/missions/index.js'
import { Idempotency } from '../lib/missions/commands/idempotency.js'
import { groupAddress } from '../lib/base/limits/limit-owner.js'
import { StartLimit } from '../lib/missions/commands/start-limit.js'
import { TERMINAL_STATUSES, type MissionStatus, type MissionUpdate, type OptionsInput } from '../schemas/index.js'
import missionControl, { type AccessOptions } from '../lib/index.js'
import { boot, closingSoon, uncaught } from './support/app.js'
import { connect, type Client } from './support/client.js'
import { findStreamFaults } from './support/missions.js'

interface Service { app: FastifyInstance, clock: VirtualClock }

interface ServeOptions { missions?: OptionsInput['missions'], access?: AccessOptions | undefined }

/** Boots a service on a virtual clock, with `handlers` if given. */
async function serve (t: Test, handlers?: MissionHandlers, { missions = {}, access }: ServeOptions = {}): Promise<Service> {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000, maxMessagesPerSecond: 100_000 }, missions, access })
  if (handlers !== undefined) app.missions.handle(handlers)
  return { app, clock }
}

let sent = 0

/** Sends a command and returns the mission id of its ack, or the code of its error. */
async function command (client: Client, message: object, id = `command-${++sent}`): Promise<string> {
  let isAnswered = false
  const isReply = ({ replyTo }: { replyTo?: string }) => !isAnswered && replyTo === id && (isAnswered = true)
  client.send({ ...message, id })
  return await Promise.race([
    client.next('mission_ack', isReply).then(({ payload }) => payload.missionId),
    client.next('protocol_error', isReply).then(({ error }) => error.code)
  ])
}

const start = async (client: Client, text = 'go', id?: string): Promise<string> =>
  await command(client, { type: 'mission_start', command: text }, id)
const cancel = async (client: Client, missionId: string): Promise<string> =>
  await command(client, { type: 'mission_cancel', missionId })

/** Returns the acks, errors and updates that a client has received so far, each as a few words, in the order of arrival. */
const transcript = ({ received }: Client): string[] => received.flatMap((message) => {
  if (message.type === 'mission_ack') return [`ack ${message.payload.action ?? 'start'}`]
  if (message.type === 'protocol_error') return [message.error.code]
  return message.type === 'mission_update' ? [`${message.payload.name} ${message.payload.status}`] : []
})

const updatesOf = (client: Client, missionId: string): MissionUpdate[] =>
  client.received.flatMap((message) => message.type === 'mission_update' ? [message.payload] : [])
    .filter((update) => update.missionId === missionId)

/** A promise and the function that resolves it. */
function gate<T = void> (): { opened: Promise<T>, open: (value: T) => void } {
  let open: (value: T) => void = () => {}
  const opened = new Promise<T>((resolve) => { open = resolve })
  return { opened, open }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Users and their tenants, by headers. */
const BY_USER: AccessOptions = {
  identify: ({ headers: { 'x-user': id = 'nobody', 'x-tenant': tenant } }) => ({ id, ...(tenant !== undefined && { tenant }) }) as { id: string }
}

const userOf = ({ request }: { request: unknown }) => (request as FastifyRequest).headers['x-user'] as string | undefined

async function callbackErrors (app: FastifyInstance, callback: string): Promise<number> {
  const { body } = await app.missionControl.metrics.render()
  return Number(new RegExp(`^mission_control_callback_errors_total\\{callback="${callback}"\\} (\\d+)$`, 'm').exec(body)?.[1] ?? 0)
}

t.test('the last call of handle() decides which commands clients may send', async (t) => {
  const { app } = await serve(t)
  const client = await connect(app)
  const mission = app.missions.start('job')
  const capabilities = async () => (await client.send({ type: 'whoami' }).next('whoami')).payload.capabilities

  const withoutCommands: MissionHandlers[] = [
    {}, { start: undefined, cancel: undefined } as never
  ]
  for (const handlers of withoutCommands) {
    app.missions.handle(handlers)
    t.same(await capabilities(), [])
    t.same([await start(client), await cancel(client, mission.id)], ['unsupported', 'unsupported'])
  }
  app.missions.handle({ cancel: {} })
  t.same(await capabilities(), ['mission_cancel'])
  t.same([await start(client), await cancel(client, mission.id)], ['unsupported', mission.id])
  app.missions.handle({ start: { start: () => app.missions.start('started') } })
  t.same(await capabilities(), ['mission_start'], 'handlers that are not passed again are removed')
  t.match([await start(client), await cancel(client, mission.id)], [/^mission_/, 'unsupported'])
})

t.test('whoami lists only the commands that the client may send', async (t) => {
  const start = { start: (() => {}) as never }
  const rules: Array<[title: string, authorize: AccessOptions['authorize'], expected: string[]]> = [
    ['no authorize', undefined, ['mission_start', 'mission_cancel']],
    ['nothing is allowed', () => false, []],
    ['start only', (_principal, { action }) => action === 'start', ['mission_start']],
    ['cancel only', (_principal, { action }) => action === 'cancel', ['mission_cancel']],
    ['the answer depends on a mission', (_principal, { mission }) => mission!.name === 'job', ['mission_cancel']]
  ]
  for (const [title, authorize, expected] of rules) {
    const access = { ...BY_USER, ...(authorize && { authorize }) }
    const { app } = await serve(t, { start, cancel: {} }, { missions: { cancelGraceMs: 2_500 }, access })
    const client = await connect(app)
    const { capabilities, cancelGraceMs } = (await client.send({ type: 'whoami' }).next('whoami')).payload
    t.strictSame([capabilities, cancelGraceMs], [expected, expected.includes('mission_cancel') ? 2_500 : undefined], title)
    const isThrown = title.startsWith('the answer')
    t.equal(await callbackErrors(app, 'authorize') > 0, isThrown, 'a cancel without a mission is no error, another question is')
  }
})

t.test('an authorize that needs the mission of a cancel is not reported as an error by whoami', async (t) => {
  const authorize: AccessOptions['authorize'] = (_principal, { action, mission }) => action !== 'cancel' || mission!.name === 'job'
  const { app } = await serve(t, { cancel: {} }, { access: { ...BY_USER, authorize } })
  const client = await connect(app)
  const { payload: { capabilities } } = await client.send({ type: 'whoami' }).next('whoami')
  t.strictSame([capabilities, await callbackErrors(app, 'authorize')], [['mission_cancel'], 0])
})

t.test('whoami has the schema of the params, for clients that may start missions', async (t) => {
  const circular: Record<string, unknown> = { type: 'object' }
  circular['default'] = circular
  const schema = { type: 'object', properties: { table: { type: 'string', title: 'Table' } } }
  const sized = (bytes: number) => ({ description: 'é'.repeat((bytes - '{"description":""}'.length) / 2) })
  const schemas: Array<[title: string, schema: object | undefined, expected: unknown]> = [
    ['a JSON Schema', schema, structuredClone(schema)],
    ['a TypeBox type', Type.Object({ table: Type.String() }), { type: 'object', required: ['table'], properties: { table: { type: 'string' } } }],
    ['none', undefined, undefined],
    ['8 KiB', sized(8_192), sized(8_192)],
    ['more than 8 KiB', sized(8_194), undefined],
    ['no JSON', circular, undefined],
    ['no object as JSON', Object.assign(Object.create({ toJSON: () => [] }), schema), undefined],
    ['null as JSON', Object.assign(Object.create({ toJSON: () => null }), schema), undefined],
    ['text as JSON', Object.assign(Object.create({ toJSON: () => 'text' }), schema), undefined]
  ]
  const access: AccessOptions = { ...BY_USER, authorize: ({ id }, { action }) => action !== 'start' || id === 'ann' }
  const { app } = await serve(t, {}, { access })
  const [ann, ben] = [await connect(app, { headers: { 'x-user': 'ann' } }), await connect(app, { headers: { 'x-user': 'ben' } })]
  const ask = async (client: Client) => (await client.send({ type: 'whoami' }).next('whoami')).payload.startSchema
  for (const [title, schema, expected] of schemas) {
    app.missions.handle({ start: { start: () => app.missions.start('job'), ...(schema && { schema }) } })
    if (schema?.constructor === Object) Object.assign(schema, { type: 'changed later' })
    t.strictSame([await ask(ann), await ask(ben)], [expected, undefined], title)
  }
})

t.test('handle() rejects handlers of the wrong shape, misspelt names included', async (t) => {
  const { app } = await serve(t)
  const client = await connect(app)
  const run = () => app.missions.start('job')
  const authorize = () => true
  const wrong: Array<[unknown, RegExp]> = [
    [undefined, /the handlers must be an object/],
    [null, /the handlers must be an object/],
    [run, /the handlers must be an object/],
    [{ stop: {} }, /the handlers has no "stop"; there are start, cancel$/],
    [{ cancel: false }, /cancel must be an object/],
    [{ cancel: true }, /cancel must be an object/],
    [{ start: null }, /start must be an object/],
    [{ start: run }, /start must be an object/],
    [{ view: { authorize } }, /the handlers has no "view"/],
    [{ identify: () => 'ann' }, /the handlers has no "identify"/],
    [{ start: { authorize } }, /start\.start must be a function/],
    [{ cancel: { authorise: authorize } }, /cancel has no "authorise"; there are authorize/],
    [{ start: { start: run, autorize: authorize } }, /start has no "autorize"/],
    [{ cancel: { authorize: true } }, /cancel\.authorize must be a function/],
    [{ start: { start: run, schema: { type: 'number or so' } } }, /start\.schema can't be used/],
    [{ start: { start: run, schema: null } }, /start\.schema can't be used/],
    [{ start: { start: run, schema: { $async: true, type: 'object' } } }, /start\.schema can't be used \(it is asynchronous\)/]
  ]
  app.missions.handle({ cancel: {} })
  for (const [handlers, message] of wrong) {
    t.throws(() => app.missions.handle(handlers as MissionHandlers), { code: 'FST_MC_INVALID_HANDLER', message })
  }
  t.match((await client.send({ type: 'whoami' }).next('whoami')).payload.capabilities, ['mission_cancel'], 'the earlier handlers stay')

  class Starter {
    readonly #name = 'job'
    start () { return app.missions.start(this.#name) }
  }
  app.missions.handle({ start: new Starter() })
  t.match(await start(await connect(app)), /^mission_/, 'handlers may be methods of a class')
})

t.test('a command', async (t) => {
  /** Sends each text as a command; returns what the handler received and how each command was answered. */
  const read = async (t: Test, texts: string[], schema?: object) => {
    const received: unknown[] = []
    const { app, clock } = await serve(t, {
      start: {
        ...(schema && { schema }),
        start: (text, { params }) => {
          received.push(params === undefined ? text : { params })
          return app.missions.start('job')
        }
      }
    })
    const client = await connect(app)
    const answers: string[] = []
    for (const text of texts) {
      clock.advance(60_000)
      answers.push((await start(client, text)).replace(/^mission_.*/, 'accepted'))
    }
    return { received, answers }
  }

  t.test('other than /mission is passed to the handler unchanged', async (t) => {
    const texts = [
      'nightly', ' /mission {"a":1}', '/missions', '/mission-control {}', '/Mission {}', '{"a":1}',
      '/deploy --all\nnow', '\u2028', '__proto__'
    ]
    const { received, answers } = await read(t, texts)
    t.strictSame(received, texts)
    t.ok(answers.every((answer) => answer === 'accepted'))
  })

  t.test('/mission with JSON passes the parsed JSON as params', async (t) => {
    const { received } = await read(t, [
      '/mission {"a":[1,{"b":null}]}', '/mission\t\n  {}  ', '/mission{"a":1}', '/mission []', '/mission "text"',
      '/mission 0', '/mission null', '/mission {"constructor":1}'
    ])
    const params: unknown[] = [{ a: [1, { b: null }] }, {}, { a: 1 }, [], 'text', 0, null, { constructor: 1 }]
    t.strictSame(received, params.map((params) => ({ params })))
  })

  t.test('/mission without valid JSON is refused and never passed on as text', async (t) => {
    const texts = [
      '/mission', '/mission ', '/mission\n', '/mission all of them', '/mission {', '/mission {a:1}', '/mission{"a":',
      '/mission {} {}', '/mission \u00a0', `/mission ${'['.repeat(8_000)}`
    ]
    const { received, answers } = await read(t, texts)
    t.strictSame(received, [])
    t.strictSame(answers, texts.map(() => 'invalid_command'))
  })

  t.test('with a key that could change a prototype is refused, nested or escaped too', async (t) => {
    const texts = [
      '{"__proto__":{"polluted":1}}', '{"a":{"b":[{"__proto__":1}]}}', '{"\\u005f_proto__":1}',
      '{"constructor":{"prototype":{"polluted":1}}}', '{"prototype":1}'
    ]
    const { received, answers } = await read(t, texts.map((text) => `/mission ${text}`))
    t.strictSame(received, [])
    t.strictSame(answers, texts.map(() => 'invalid_command'))
    t.equal(({} as { polluted?: unknown }).polluted, undefined)
  })

  t.test('with a schema must have matching params, which are neither coerced nor completed with defaults', async (t) => {
    const properties = { scope: Type.String({ maxLength: 5 }), depth: Type.Optional(Type.Integer({ default: 3 })) }
    const schema = Type.Object(properties, { additionalProperties: false })
    const bad = [
      'scope', '/mission {}', '/mission {"scope":1}', '/mission {"scope":"longer"}', '/mission {"scope":"a","depth":"2"}',
      '/mission {"scope":"a","x":1}', '/mission null', '/mission []'
    ]
    const { received, answers } = await read(t, [...bad, '/mission {"scope":"a","depth":2}', '/mission {"scope":"a"}'], schema)
    t.strictSame(answers, [...bad.map(() => 'invalid_command'), 'accepted', 'accepted'])
    t.strictSame(received, [{ params: { scope: 'a', depth: 2 } }, { params: { scope: 'a' } }])
  })

  t.test('is not repeated in the error', async (t) => {
    const schema = Type.Object({ scope: Type.Integer() })
    const { app } = await serve(t, { start: { schema, start: () => app.missions.start('job') } })
    const client = await connect(app)
    for (const text of ['canary', '/mission canary', '/mission {"canary":1}', '/mission {"scope":"canary"}']) {
      client.send({ type: 'mission_start', command: text })
      t.notMatch(JSON.stringify(await client.next('protocol_error')), /canary/)
    }
  })
})

t.test('a start command is validated, looked up by its id, rate limited, authorized and run, in this order', async (t) => {
  const calls: string[] = []
  const { app } = await serve(t, {
    start: {
      schema: Type.Object({ who: Type.String() }),
      authorize: (_command, { params }) => {
        calls.push('authorize')
        return (params as { who: string }).who === 'ann'
      },
      start: () => {
        calls.push('start')
        return app.missions.start('job')
      }
    }
  })
  const client = await connect(app)
  const ann = '/mission {"who":"ann"}'
  const first = await start(client, ann, 'k')
  t.equal(await start(client, '/mission {"who":"bob"}'), 'forbidden')
  t.strictSame(calls, ['authorize', 'start', 'authorize'], 'a command that is not authorized is not run')
  for (let i = 0; i < 3; i++) await start(client, ann)
  calls.length = 0
  t.equal(await start(client, '/mission {"who":1}'), 'invalid_command', 'an invalid command is invalid beyond the limit too')
  t.equal(await start(client, '/mission {"who":1}', 'k'), 'invalid_command', 'an invalid command is not looked up')
  t.equal(await start(client, ann, 'k'), first, 'a known id is acknowledged beyond the limit')
  t.equal(await start(client, '/mission {"who":"bob"}', 'k'), 'id_reused')
  t.equal(await start(client, '/mission {"who":"bob"}'), 'too_many_starts', 'the limit comes before authorization')
  t.strictSame(calls, [])
})

t.test('a user or an address may start five missions per minute', async (t) => {
  const authorize = (text: string) => text !== 'forbidden'
  const { app, clock } = await serve(t, { start: { authorize, start: (text) => app.missions.start(text) } })
  // Each start comes over a connection of its own, which gains nothing.
  const starts = async (...texts: string[]) => {
    const answers: string[] = []
    for (const text of texts) answers.push((await start(await connect(app), text)).replace(/^mission_.*/, 'ok'))
    return answers
  }
  t.strictSame(await starts('a', 'b', 'forbidden'), ['ok', 'ok', 'forbidden'])
  clock.advance(30_000)
  t.strictSame(await starts('c', 'd', 'e'), ['ok', 'ok', 'too_many_starts'], 'a command that is not authorized counts')
  clock.advance(29_999)
  t.strictSame(await starts('f'), ['too_many_starts'])
  clock.advance(1)
  t.strictSame(await starts('g', 'h', 'i', 'j'), ['ok', 'ok', 'ok', 'too_many_starts'], 'a command beyond the limit does not count')
  clock.advance(30_000)
  t.strictSame(await starts('k', 'l', 'm'), ['ok', 'ok', 'too_many_starts'])

  const known = await serve(t, { start: { start: (text) => known.app.missions.start(text) } }, { access: BY_USER })
  for (const headers of [{ 'x-user': 'ann' }, { 'x-user': 'bob' }, { 'x-user': 'ann', 'x-tenant': 'acme' }]) {
    const answers = []
    for (let i = 0; i < 6; i++) answers.push(await start(await connect(known.app, { headers })))
    t.match(answers, [...Array(5).fill(/^mission_/), 'too_many_starts'], 'every user of a tenant has a limit of their own, at one address too')
  }
})

t.test('the address of a client', async (t) => {
  const groups: Array<[string, string]> = [
    ['192.0.2.1', '192.0.2.1'], ['::ffff:192.0.2.1', '192.0.2.1'], ['::FFFF:c000:201', '192.0.2.1'], ['0:0:0:0:0:ffff:c000:0201', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'], ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'], ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'], ['2001:db8:0:0:1::', '2001:db8:0:0::/64'], ['::1', '0:0:0:0::/64'], ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'], ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'], ['unknown', 'unknown'], ['192.0.2.1:80', '192.0.2.1:80'], ['1:2', '1:2'], ['', '']
  ]
  for (const [address, group] of groups) t.equal(groupAddress(address), group, address)

  t.test('is the one that a trusted proxy reports; a /64 of IPv6 counts as one', async (t) => {
    const app = await boot(t, { clock: createVirtualClock() }, { trustProxy: '127.0.0.1' })
    app.missions.handle({ start: { start: (text) => app.missions.start(text) } })
    const startFrom = async (address: string) => await start(await connect(app, { headers: { 'x-forwarded-for': address } }))
    for (let host = 1; host <= 5; host++) t.match(await startFrom(`2001:db8:0:7:${host}::${host}`), /^mission_/)
    t.equal(await startFrom('2001:db8:0:7::9'), 'too_many_starts')
    t.match([await startFrom('2001:db8:0:8::9'), await startFrom('192.0.2.1')], [/^mission_/, /^mission_/])
  })

  t.test('cannot be forged if no proxy is trusted', async (t) => {
    const app = await boot(t, { clock: createVirtualClock() })
    app.missions.handle({ start: { start: (text) => app.missions.start(text) } })
    const answers = []
    for (let at = 0; at < 6; at++) answers.push(await start(await connect(app, { headers: { 'x-forwarded-for': `192.0.2.${at}` } })))
    t.equal(answers.at(-1), 'too_many_starts')
  })

  t.test('does not exist for an injected connection; these share one limit', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(websocket)
    await app.register(missionControl, closingSoon({ clock: createVirtualClock() }))
    app.missions.handle({ start: { start: (text) => app.missions.start(text) } })
    await app.ready()
    const answers: string[] = []
    for (let at = 0; at < 6; at++) {
      const socket = await app.injectWS('/ws/mission-control')
      socket.send(JSON.stringify({ type: 'mission_start', command: 'go' }))
      const [data] = await once(socket, 'message')
      const { type, error } = JSON.parse(String(data))
      answers.push(error?.code ?? type)
      socket.terminate()
    }
    t.strictSame(answers, [...Array(5).fill('mission_ack'), 'too_many_starts'])
  })
})

t.test('1,000 reconnecting clients start five missions', async (t) => {
  const { app } = await serve(t, { start: { start: (text) => app.missions.start(text) } })
  let accepted = 0
  for (let round = 0; round < 50; round++) {
    const clients = await Promise.all(Array.from({ length: 20 }, async () => await connect(app)))
    for (const client of clients) if (await start(client) !== 'too_many_starts') accepted++
    for (const client of clients) client.socket.terminate()
  }
  t.equal(accepted, 5)
  t.equal(app.missions.stats().total, 5)
})

t.test('the id of a command that waits for authorize is kept, however many ids strangers use', async (t) => {
  const { opened, open } = gate<boolean>()
  const websocket = { heartbeatMs: 1_000_000_000, maxConnectionsPerSecond: 100_000 }
  const app = await boot(t, { clock: createVirtualClock(), websocket, access: BY_USER })
  let runs = 0
  app.missions.handle({
    start: {
      authorize: async (_text, context) => userOf(context) === 'ann' && await opened,
      start: () => {
        runs++
        return app.missions.start('job')
      }
    }
  })
  const ann = async () => await connect(app, { headers: { 'x-user': 'ann' } })
  const first = start(await ann(), 'go', 'k')
  const codes: Record<string, number> = {}
  for (let round = 0; round < 21; round++) {
    const strangers = await Promise.all(Array.from({ length: 100 }, async (_, at) => await connect(app, { headers: { 'x-user': `stranger ${round} ${at}` } })))
    await Promise.all(strangers.map(async (stranger) => {
      for (const id of ['k', 'a', 'b', 'c', 'd']) {
        const code = await start(stranger, 'go', id)
        codes[code] = (codes[code] ?? 0) + 1
      }
      stranger.socket.terminate()
    }))
  }
  t.strictSame(codes, { forbidden: 10_500 })
  const second = start(await ann(), 'go', 'k')
  t.equal(await start(await ann(), 'stop', 'k'), 'id_reused')
  open(true)
  t.equal(await second, await first)
  t.equal(runs, 1)
})

t.test('the ack comes before the first update', async (t) => {
  const handlers: Record<string, (app: FastifyInstance) => Mission | Promise<Mission>> = {
    'of a mission that ended at once': (app) => {
      const mission = app.missions.start('job')
      mission.complete()
      return mission
    },
    'of a mission that ended in the background': async (app) => {
      const mission = app.missions.spawn('job', () => {})
      await mission.done
      return mission
    },
    'of a mission that the handler ran to its end': async (app) => await app.missions.run('job', (mission) => mission),
    'of a mission that fails within the handler': async (app) => {
      const mission = app.missions.spawn('job', () => { throw new Error('broken') })
      await mission.done
      return mission
    },
    'of a mission that was registered by its id': (app) => {
      app.missions.report('job', 'completed')
      return app.missions.get('job') ?? app.missions.start('forgotten')
    }
  }
  for (const [title, handler] of Object.entries(handlers)) {
    t.test(title, async (t) => {
      const { app } = await serve(t, { start: { start: async () => await handler(app) } })
      const [client, watcher] = [await connect(app), await connect(app)]
      await client.subscribe('mission_update')
      await watcher.subscribe('mission_update')
      client.send({ type: 'mission_start', command: 'go', id: 'k' })
      const { payload: { missionId } } = await client.next('mission_ack')
      await client.next('mission_update', ({ payload }) => (TERMINAL_STATUSES as readonly string[]).includes(payload.status))
      const [ack, ...updates] = transcript(client)
      t.equal(ack, 'ack start')
      await watcher.settle()
      t.strictSame(transcript(watcher), updates, 'other clients receive the same updates')
      t.strictSame(updatesOf(client, missionId).map(({ seq }) => seq), updates.map((_, at) => at + 1), 'no update is lost')
      t.ok(updates.length > 0)
    })
  }

  t.test('whatever the handler calls before it returns', async (t) => {
    const own = (app: FastifyInstance) => app.missions.start('own')
    const reentrant: Record<string, (app: FastifyInstance, other: Mission) => unknown> = {
      'reports another mission': (app, other) => [own(app), other.executionStarted()][0],
      'cancels another mission': (app, other) => [own(app), app.missions.cancel(other.id)][0],
      'adds a child to another mission': (_app, other) => other.child('own'),
      'reports by id': (app) => [app.missions.report('id', 'planned', { name: 'own' }), app.missions.get('id')][1],
      'cancels its mission': (app) => {
        const mission = own(app)
        app.missions.cancel(mission.id)
        mission.report('cancelled')
        return mission
      },
      'retries its mission': (app) => {
        const mission = own(app)
        mission.fail(new Error('broken'))
        return mission.retry()
      },
      'waits for its mission': async (app) => {
        const mission = app.missions.spawn('own', async () => { await turn() })
        for await (const view of app.missions.subscribe({ id: mission.id })) t.equal(view.name, 'own')
        await app.missions.waitFor(mission.id)
        return mission
      },
      'starts it in a listener': (app, other) => {
        const remove = app.missions.on('mission_update', () => own(app))
        other.executionStarted()
        remove()
        return app.missions.get(app.missions.list({ name: 'own' }).missions[0]!.id)
      },
      'replaces the handlers': (app) => [own(app), app.missions.handle({})][0],
      'closes the service': (app) => [own(app), app.close()][0]
    }
    for (const [title, handler] of Object.entries(reentrant)) {
      const { app } = await serve(t)
      const other = app.missions.start('other')
      app.missions.handle({ start: { start: () => handler(app, other) as Mission } })
      const client = await connect(app)
      await client.subscribe('mission_update')
      client.send({ type: 'mission_start', command: 'go' })
      await client.next('mission_update', ({ payload }) => payload.name === 'own')
      const [first] = transcript(client).filter((line) => !line.startsWith('other'))
      t.equal(first, 'ack start', title)
    }
  })

  t.test('of a mission that ended at once and is not kept', async (t) => {
    const { app } = await serve(t, {
      start: {
        start: () => {
          const mission = app.missions.start('job')
          mission.complete()
          return mission
        }
      }
    }, { missions: { maxEnded: 0 } })
    const client = await connect(app)
    await client.subscribe('mission_update')
    t.match(await start(client), /^mission_/)
    await client.settle()
    t.strictSame(transcript(client), ['ack start', 'job planning_started', 'job completed'])
  })

  t.test('and before mission_ended', async (t) => {
    const ended: string[] = []
    const { app } = await serve(t, {
      start: {
        start: async () => {
          const mission = app.missions.spawn('job', () => {})
          await mission.done
          t.strictSame(ended, [], 'the ending waits for the ack')
          return mission
        }
      }
    })
    app.missions.on('mission_ended', ({ id }) => { ended.push(id) })
    const client = await connect(app)
    const id = await start(client)
    await turn()
    t.strictSame(ended, [id])
  })

  t.test('of every mission that the handler started, in order', async (t) => {
    const { app } = await serve(t, {
      start: {
        start: async () => {
          const mission = app.missions.spawn('parent', async (mission) => {
            const child = mission.child('child')
            await turn()
            child.complete()
          })
          app.missions.start('other').executionStarted()
          await mission.done
          return mission
        }
      }
    })
    const client = await connect(app)
    await client.subscribe('mission_update')
    await start(client)
    await client.settle()
    const [ack, ...updates] = transcript(client)
    t.equal(ack, 'ack start')
    t.strictSame(updates.filter((update) => update.startsWith('parent')), ['parent planning_started', 'parent completed'])
    t.strictSame(updates.filter((update) => update.startsWith('child')), ['child planning_started', 'child completed'])
    t.strictSame(updates.filter((update) => update.startsWith('other')), ['other planning_started', 'other execution_started'])
  })

  t.test('of a mission whose handler fails afterwards; the client receives the error first', async (t) => {
    const { app } = await serve(t, {
      start: {
        start: async () => {
          app.missions.start('orphan')
          await turn()
          throw new Error('no more')
        }
      }
    })
    const client = await connect(app)
    await client.subscribe('mission_update')
    t.equal(await start(client), 'internal_error')
    await client.settle()
    t.strictSame(transcript(client), ['internal_error', 'orphan planning_started', 'orphan planning_started'])
    t.match(app.missions.list().missions[0]!.cancel, { kind: 'client', reason: 'The start failed' }, 'the mission is cancelled')
  })

  t.test('of an attempt that others start meanwhile; both attempts follow in order', async (t) => {
    const answer = gate<boolean>()
    const { app } = await serve(t, {
      start: {
        start: async (command) => {
          const mission = app.missions.start({ id: command, name: 'job' })
          if (!await answer.opened) throw new Error('broken')
          return mission
        }
      }
    })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const acks = [start(client, 'a'), start(client, 'b')]
    while (app.missions.stats().active < 2) await turn()
    app.missions.report('a', 'execution_started', { attempt: 2 })
    app.missions.report('b', 'completed', { attempt: 2 })
    await client.settle()
    t.strictSame(transcript(client), [])
    answer.open(true)
    t.strictSame(await Promise.all(acks), ['a', 'b'])
    await client.next('mission_update', ({ payload }) => payload.status === 'completed')
    t.strictSame(transcript(client).slice(0, 1), ['ack start'])
    t.strictSame(findStreamFaults(client.received.flatMap((message) => message.type === 'mission_update' ? [message.payload] : [])), [])
    t.match(app.missions.get('a'), { attempt: 2, status: 'execution_started' })
  })

  t.test('of an attempt that another command starts; it waits for both acks', async (t) => {
    const gates = [gate(), gate()]
    const { app } = await serve(t, {
      start: {
        start: async (command) => {
          const mission = app.missions.start({ id: 'a', name: 'job', attempt: Number(command) })
          await gates[mission.attempt - 1]!.opened
          return mission
        }
      }
    })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const first = start(client, '1')
    while (app.missions.get('a')?.attempt !== 1) await turn()
    const second = start(client, '2')
    while (app.missions.get('a')?.attempt !== 2) await turn()
    gates[1]!.open()
    await second
    await client.settle()
    t.strictSame(transcript(client), ['ack start'])
    gates[0]!.open()
    await first
    await client.next('mission_update', ({ payload }) => payload.attempt === 2)
    t.strictSame(transcript(client), ['ack start', 'ack start', 'job planning_started', 'job cancelled', 'job planning_started'])
  })

  t.test('of an attempt that others start meanwhile, which a failed command leaves alone', async (t) => {
    const opened = gate()
    const { app } = await serve(t, {
      start: {
        start: async () => {
          app.missions.start({ id: 'a', name: 'job' })
          await opened.opened
          throw new Error('broken')
        }
      }
    })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const answer = start(client)
    while (app.missions.get('a') === undefined) await turn()
    app.missions.report('a', 'planned', { attempt: 2 })
    opened.open()
    t.equal(await answer, 'internal_error')
    await client.next('mission_update', ({ payload }) => payload.attempt === 2)
    t.match(app.missions.get('a')!.view(), { status: 'planned', cancel: null })
  })

  t.test('caused by a listener', async (t) => {
    const { app } = await serve(t, {
      start: {
        start: () => {
          const mission = app.missions.start('job')
          mission.tasksGenerated(['a'])
          return mission
        }
      }
    })
    const client = await connect(app)
    app.missions.on('mission_update', ({ missionId, status }) => {
      if (status === 'planning_started') app.missions.get(missionId)!.executionStarted()
      if (status === 'execution_started') app.missions.get(missionId)!.complete()
    })
    await client.subscribe('mission_update')
    await start(client)
    await client.settle()
    t.strictSame(transcript(client), ['ack start', 'job planning_started', 'job tasks_generated', 'job execution_started', 'job completed'])
  })

  t.test('for every client that sent the same command concurrently', async (t) => {
    const { opened, open } = gate()
    const { app } = await serve(t, {
      start: {
        start: async () => {
          const mission = app.missions.start('job')
          await opened
          return mission
        }
      }
    }, { access: BY_USER })
    const clients = await Promise.all([1, 2, 3].map(async () => await connect(app, { headers: { 'x-user': 'ann' } })))
    for (const client of clients) {
      await client.subscribe('mission_update')
      client.send({ type: 'mission_start', command: 'go', id: 'k' })
      await client.settle()
    }
    open()
    for (const client of clients) {
      await client.next('mission_update')
      t.strictSame(transcript(client), ['ack start', 'job planning_started'])
    }
  })

  t.test('and later updates are emitted at once', async (t) => {
    const { app } = await serve(t, { start: { start: () => app.missions.start('job') } })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const mission = app.missions.get(await start(client))!
    const emitted: MissionStatus[] = []
    await turn()
    app.missions.on('mission_update', ({ status }) => { emitted.push(status) })
    mission.complete()
    t.strictSame(emitted, ['completed'])
  })
})

t.test('the id of a start command', async (t) => {
  /** Boots a service that records the commands its handler runs. */
  const record = async (t: Test, access?: AccessOptions) => {
    const runs: string[] = []
    const { app, clock } = await serve(t, {
      start: {
        start: (text) => {
          runs.push(text)
          return app.missions.start(text)
        }
      }
    }, { access })
    return { app, clock, runs }
  }
  const as = async (app: FastifyInstance, user: string, tenant?: string) =>
    await connect(app, { headers: { 'x-user': user, ...(tenant !== undefined && { 'x-tenant': tenant }) } })

  t.test('returns the same mission for a repeated command within five minutes', async (t) => {
    const { app, clock, runs } = await record(t)
    const client = await connect(app)
    const first = await start(client, 'go', 'k')
    clock.advance(299_999)
    t.equal(await start(client, 'go', 'k'), first)
    t.strictSame(runs, ['go'])
    clock.advance(1)
    t.not(await start(client, 'go', 'k'), first, 'a repetition does not extend the five minutes')
    t.strictSame(runs, ['go', 'go'])
  })

  t.test('returns a mission that has ended too', async (t) => {
    const { app } = await record(t)
    const client = await connect(app)
    const first = await start(client, 'go', 'k')
    app.missions.get(first)!.complete()
    t.equal(await start(client, 'go', 'k'), first)
  })

  t.test('cannot be reused for another command within five minutes', async (t) => {
    const { app, clock, runs } = await record(t)
    const client = await connect(app)
    const first = await start(client, 'go', 'k')
    t.equal(await start(client, 'go on', 'k'), 'id_reused')
    t.equal(await start(client, 'go', 'k'), first, 'the first command keeps its id')
    clock.advance(300_000)
    t.not(await start(client, 'go on', 'k'), first)
    t.strictSame(runs, ['go', 'go on'])
  })

  t.test('belongs to the address without access', async (t) => {
    const { app } = await record(t)
    const client = await connect(app)
    const first = await start(client, 'go', 'k')
    await client.close()
    t.equal(await start(await connect(app), 'go', 'k'), first)
    t.equal(await start(await connect(app), 'another', 'k'), 'id_reused')
  })

  t.test('survives a reconnect of a user, and is separate for each user', async (t) => {
    const { app, runs } = await record(t, BY_USER)
    const ann = await as(app, 'ann')
    const first = await start(ann, 'go', 'k')
    await ann.close()
    t.equal(await start(await as(app, 'ann'), 'go', 'k'), first)
    t.equal(await start(await as(app, 'ann'), 'stop', 'k'), 'id_reused')
    t.not(await start(await as(app, 'bob'), 'go', 'k'), first)
    t.match(await start(await as(app, 'eve'), 'stop', 'k'), /^mission_/)
    t.strictSame(runs, ['go', 'go', 'stop'])
  })

  t.test('starts one mission for a command sent 100 times over 3 reconnects', async (t) => {
    const { app, runs } = await record(t, BY_USER)
    const answers = new Set<string>()
    for (let connection = 0; connection < 4; connection++) {
      const client = await as(app, 'ann')
      const starts = Array.from({ length: 25 }, async () => await start(client, 'go', 'k'))
      for (const answer of await Promise.all(starts)) answers.add(answer)
      await client.close()
    }
    t.equal(answers.size, 1)
    t.strictSame(runs, ['go'])
    t.equal(app.missions.stats().total, 1)
  })

  t.test('runs the handler once for concurrent commands, even from two connections', async (t) => {
    const { opened, open } = gate()
    let runs = 0
    const { app } = await serve(t, {
      start: {
        start: async () => {
          runs++
          await opened
          return app.missions.start('job')
        }
      }
    }, { access: BY_USER })
    const [one, two] = [await as(app, 'ann'), await as(app, 'ann')]
    const go = { type: 'mission_start', command: 'go', id: 'k' }
    await one.send(go).send(go).settle()
    two.send(go).send({ ...go, command: 'another' })
    t.match(await two.next('protocol_error'), { replyTo: 'k', error: { code: 'id_reused' } }, 'the id is known while the handler runs')
    open()
    const acks = [await one.next('mission_ack'), await one.next('mission_ack'), await two.next('mission_ack')]
    t.equal(new Set(acks.map(({ payload }) => payload.missionId)).size, 1)
    t.equal(runs, 1)
  })

  t.test('can be used again after the start failed', async (t) => {
    let answer: () => unknown = () => { throw new Error('busy') }
    let isAllowed = false
    const { app, clock } = await serve(t, { start: { authorize: () => isAllowed, start: () => answer() as Mission } })
    const client = await connect(app)
    t.equal(await start(client, 'go', 'k'), 'forbidden')
    isAllowed = true
    t.equal(await start(client, 'go', 'k'), 'internal_error')
    t.equal(await start(client, 'something else', 'k'), 'internal_error', 'a failed command does not keep its id')
    const { opened, open } = gate()
    answer = () => new Promise(() => open())
    const hanging = start(client, 'go', 'k')
    await opened
    clock.advance(10_000)
    t.equal(await hanging, 'internal_error')
    answer = () => { throw new Error('busy') }
    await start(client, 'the fifth')
    t.equal(await start(client, 'go', 'k'), 'too_many_starts')
    clock.advance(60_000)
    answer = () => app.missions.start('job')
    t.match(await start(client, 'go', 'k'), /^mission_/)
  })

  t.test('may be empty and is optional', async (t) => {
    const { app, runs } = await record(t)
    const client = await connect(app)
    const first = await start(client, 'go', '')
    t.equal(await start(client, 'go', ''), first)
    for (let i = 0; i < 2; i++) client.send({ type: 'mission_start', command: 'go' })
    const [one, two] = [await client.next('mission_ack'), await client.next('mission_ack')]
    t.not(one.payload.missionId, two.payload.missionId)
    t.equal(runs.length, 3)
  })

  t.test('cannot collide with the id of another user', async (t) => {
    const { app } = await record(t, BY_USER)
    const cases: Array<[one: [user: string, id: string, tenant?: string], other: [user: string, id: string, tenant?: string]]> = [
      [['a b', 'c'], ['a', 'b c']], [['a" b', 'c'], ['a', 'b" c']], [['"a"', 'c'], ['a', 'c']],
      [['a', 'd', 'acme'], ['a', 'd', 'other']], [['b', 'd'], ['b', 'd', 'null']], [['c","acme', 'd'], ['c', 'd', 'acme']]
    ]
    for (const pair of cases) {
      const [one, other] = await Promise.all(pair.map(async ([user, id, tenant]) => await start(await as(app, user, tenant), 'go', id)))
      t.match([one, other], [/^mission_/, /^mission_/])
      t.not(one, other)
    }
  })
})

t.test('the number of remembered ids and principals is limited; beyond it further ones are refused', async (t) => {
  const clock = createVirtualClock()
  const known = new Idempotency<number>(clock, { keepMs: 1_000, max: 2 })
  let runs = 0
  const run = async (key: string) => {
    const keyed = known.find(key, 'same')
    if (keyed !== undefined) return keyed.isConflict ? 'conflict' : await keyed.outcome
    return known.isFull ? 'full' : await known.run(key, 'same', async () => ++runs, () => true)
  }
  t.strictSame([await run('a'), await run('b'), await run('a'), await run('c'), await run('b')], [1, 2, 1, 'full', 2], 'no key is dropped for another')
  clock.advance(1_000)
  t.strictSame([await run('c'), await run('a')], [3, 4])

  const limit = new StartLimit({ max: 2, windowMs: 1_000, maxPrincipals: 2 })
  const take = (...principals: string[]) => principals.map((principal) => limit.take(principal, clock.monotonic()))
  t.strictSame(take('a', 'b', 'c', 'a', 'a'), [true, true, false, true, false], 'no principal is forgotten for another')
  clock.advance(1_000)
  t.strictSame(take('c', 'a', 'b'), [true, true, false])
})

t.test('mission_cancel', async (t) => {
  const phases: Array<[string, (mission: Mission) => void]> = [
    ['planning_started', () => {}],
    ['tasks_generated', (mission) => { mission.tasksGenerated(['a']) }],
    ['planned', (mission) => { mission.planned() }],
    ['execution_started', (mission) => { mission.executionStarted() }],
    ['execution_progress', (mission) => { mission.progress({ taskId: 'a', index: 1, total: 2, status: 'started' }) }]
  ]

  t.test('reaches the work in every phase; subscribers receive the request and the ending', async (t) => {
    const { app } = await serve(t, { cancel: {} })
    const [client, watcher] = [await connect(app), await connect(app)]
    await watcher.subscribe('mission_update')
    for (const [phase, report] of phases) {
      const mission = app.missions.spawn(phase, async (mission) => {
        report(mission)
        await once(mission.signal, 'abort')
        mission.signal.throwIfAborted()
      })
      t.equal(await cancel(client, mission.id), mission.id)
      const { status, cancel: request } = await mission.done
      t.match({ status, request }, { status: 'cancelled', request: { requested: true, kind: 'client', reason: null, by: null } }, phase)
      t.notOk('forced' in request!)
      await watcher.settle()
      const [requested, ended] = updatesOf(watcher, mission.id).slice(-2)
      t.match(requested, { status: phase, cancel: { requested: true, kind: 'client' } }, 'the status stays')
      t.match(ended, { status: 'cancelled' })
    }
  })

  t.test('takes a reason, which everybody who sees the mission receives; a long one is cut', async (t) => {
    const { app } = await serve(t, { cancel: {} })
    const [client, watcher] = [await connect(app), await connect(app)]
    await watcher.subscribe('mission_update')
    const reasons = [['wrong file', 'wrong file'], ['', ''], [undefined, null], ['x'.repeat(257), `${'x'.repeat(255)}…`]] as const
    for (const [given, shown] of reasons) {
      const mission = app.missions.start('job')
      await command(client, { type: 'mission_cancel', missionId: mission.id, reason: given })
      t.match(mission.signal.reason, { cancel: { kind: 'client', reason: shown, by: null } })
      await watcher.settle()
      t.equal(updatesOf(watcher, mission.id).at(-1)!.cancel!.reason, shown)
      await command(client, { type: 'mission_cancel', missionId: mission.id, reason: 'another one' })
      t.equal(mission.view().cancel!.reason, shown, 'the first request counts')
    }
    client.send({ type: 'mission_cancel', missionId: 'm', reason: 5, id: 'wrong' })
    t.match(await client.next('protocol_error', ({ replyTo }) => replyTo === 'wrong'), { error: { code: 'invalid_message' } })
  })

  t.test('is acknowledged each time and emitted once', async (t) => {
    const { app } = await serve(t, { cancel: {} })
    const [client, other] = [await connect(app), await connect(app)]
    await client.subscribe('mission_update')
    const mission = app.missions.start('job')
    for (const sender of [client, other, client]) t.equal(await cancel(sender, mission.id), mission.id)
    mission.report('cancelled')
    t.equal(await cancel(client, mission.id), mission.id, 'a cancel after the end is acknowledged')
    await client.settle()
    t.strictSame(transcript(client),
      ['job planning_started', 'job planning_started', 'ack cancel', 'ack cancel', 'job cancelled', 'ack cancel'])
  })

  t.test('of work that ignores its signal is forced after the grace period', async (t) => {
    const { app, clock } = await serve(t, { cancel: {} })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const mission = app.missions.start('stubborn')
    await cancel(client, mission.id)
    clock.advance(9_999)
    t.equal(mission.status, 'planning_started')
    clock.advance(1)
    await client.settle()
    t.match(updatesOf(client, mission.id).at(-1), { status: 'cancelled', cancel: { kind: 'client', forced: true } })
  })

  t.test('is accepted from another client before the start is acknowledged', async (t) => {
    const { opened, open } = gate()
    const { app } = await serve(t, {
      start: {
        start: async () => {
          const mission = app.missions.start({ id: 'early', name: 'job' })
          await opened
          return mission
        }
      },
      cancel: {}
    })
    const [client, other] = [await connect(app), await connect(app)]
    await client.subscribe('mission_update')
    const started = start(client)
    await client.settle()
    t.equal(await cancel(other, 'early'), 'early')
    open()
    t.equal(await started, 'early')
    await client.settle()
    t.strictSame(transcript(client), ['ack start', 'job planning_started', 'job planning_started'])
    t.match(updatesOf(client, 'early')[1], { cancel: { kind: 'client' } })
  })

  t.test('of a hidden mission is answered exactly like one of an unknown mission', async (t) => {
    const isTheirs = (candidate: Mission, context: { request: unknown }) => candidate.tenant === userOf(context)
    const only = (isAllowed: NonNullable<AccessOptions['authorize']>): AccessOptions => ({ ...BY_USER, authorize: isAllowed })
    const authorize = () => true
    const hidden: Array<[title: string, handlers: MissionHandlers, access?: AccessOptions]> = [
      ['cancel.authorize returns false', { cancel: { authorize: isTheirs } }],
      ['cancel.authorize resolves with false', { cancel: { authorize: async (...args) => isTheirs(...args) } }],
      ['cancel.authorize returns undefined', { cancel: { authorize: (() => undefined) as never } }],
      ['it is of another tenant', { cancel: {} }, { identify: () => ({ id: 'ann', tenant: 'other' }) }],
      ['it is of another tenant, and all may do everything', { cancel: { authorize } }, { identify: () => ({ id: 'ann', tenant: 'other' }), authorize }],
      ['access denies see', { cancel: {} }, only((_principal, { action, mission }) => action !== 'see' || mission?.tenant === 'other')],
      ['access denies cancel', { cancel: {} }, only((_principal, { action, mission }) => action !== 'cancel' || mission?.tenant === 'other')],
      ['access denies see, cancel.authorize returns true', { cancel: { authorize } }, only((_principal, { action }) => action !== 'see')],
      ['access throws for see', { cancel: {} }, only((_principal, { action }) => { if (action === 'see') throw new Error('canary'); return true })]
    ]
    for (const [title, handlers, access] of hidden) {
      const { app } = await serve(t, handlers, { access })
      const client = await connect(app, { headers: { 'x-user': 'ann' } })
      const mission = app.missions.start({ name: 'job', tenant: 'acme' })
      const ask = async (missionId: string) => {
        const { id: _, timestamp: __, unix: ___, ...rest } = await client.send({ type: 'mission_cancel', missionId, id: 'c' }).next('protocol_error')
        return rest
      }
      const unknown = await ask('mission_00000000-0000-4000-8000-000000000000')
      t.equal(unknown.error.code, 'unknown_mission')
      t.strictSame(await ask(mission.id), unknown, title)
      t.equal(mission.view().cancel, null)
    }
    for (const access of [undefined, only(() => true), { identify: () => ({ id: 'ann', tenant: 'acme' }) }]) {
      const { app } = await serve(t, { cancel: { authorize } }, { access })
      const { id } = app.missions.start({ name: 'job', tenant: 'acme' })
      t.equal(await cancel(await connect(app), id), id)
    }
  })

  t.test('that is authorized after the time-out has no effect', async (t) => {
    const asked = gate()
    const { opened, open } = gate<boolean>()
    const { app, clock } = await serve(t, {
      cancel: {
        authorize: async () => {
          asked.open()
          return await opened
        }
      }
    })
    const client = await connect(app)
    const mission = app.missions.start('job')
    const answer = cancel(client, mission.id)
    await asked.opened
    clock.advance(10_000)
    t.equal(await answer, 'internal_error')
    open(true)
    await turn()
    t.equal(mission.view().cancel, null, 'the client has received an error')
    t.equal(await callbackErrors(app, 'cancel_handler'), 1)
  })
})

t.test('an access.authorize that returns a promise hides every mission, and is counted once', async (t) => {
  const authorize = async () => { throw new Error('rejected') }
  const { app } = await serve(t, { cancel: {} }, { access: { ...BY_USER, authorize: authorize as never } })
  const client = await connect(app)
  const mission = app.missions.start('job')
  t.strictSame(await uncaught(async () => { t.equal(await cancel(client, mission.id), 'unknown_mission') }), [])
  t.equal(await callbackErrors(app, 'authorize'), 1)
})

t.test('a start that is authorized after the time-out is not run', async (t) => {
  const asked = gate()
  const { opened, open } = gate<boolean>()
  const { app, clock } = await serve(t, {
    start: {
      authorize: async () => {
        asked.open()
        return await opened
      },
      start: () => app.missions.start('job')
    }
  })
  const client = await connect(app)
  const answer = start(client)
  await asked.opened
  clock.advance(9_999)
  await client.settle()
  t.strictSame(transcript(client), [])
  clock.advance(1)
  t.equal(await answer, 'internal_error')
  open(true)
  await turn()
  t.equal(app.missions.stats().total, 0, 'the client may have sent the command again')
})

t.test('a start handler that exceeds its time-out', async (t) => {
  const late = async (t: Test, settle: (app: FastifyInstance) => unknown) => {
    const asked = gate()
    const { opened, open } = gate()
    const { app, clock } = await serve(t, {
      start: {
        start: async () => {
          app.missions.start('early')
          asked.open()
          await opened
          return await settle(app) as Mission
        }
      }
    })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const answer = start(client)
    await asked.opened
    clock.advance(10_000)
    t.equal(await answer, 'internal_error')
    await client.next('mission_update')
    const caught = await uncaught(async () => {
      open()
      await turn()
    })
    t.strictSame(caught, [])
    await client.settle()
    return { app, received: transcript(client) }
  }

  t.test('has its missions cancelled, because the client may have sent the command again', async (t) => {
    const { app, received } = await late(t, (app) => app.missions.start('late'))
    t.strictSame(received, ['internal_error', ...Array(2).fill('early planning_started'), ...Array(2).fill('late planning_started')])
    t.same(app.missions.list().missions.map(({ cancel }) => cancel?.kind), ['client', 'client'])
    t.equal(await callbackErrors(app, 'start_handler'), 1)
  })

  t.test('may reject afterwards; both failures are counted', async (t) => {
    const { app, received } = await late(t, () => { throw new Error('late') })
    t.strictSame(received, ['internal_error', 'early planning_started', 'early planning_started'])
    t.equal(await callbackErrors(app, 'start_handler'), 2)
  })
})

t.test('a handler that settles in time leaves no timer running', async (t) => {
  const { app, clock } = await serve(t, { start: { start: () => app.missions.start('job') }, cancel: {} })
  const client = await connect(app)
  const id = await start(client)
  app.missions.handle({ start: { start: () => { throw new Error('broken') } }, cancel: {} })
  await cancel(client, id)
  await start(client)
  clock.advance(10_000)
  await client.settle()
  t.equal(await callbackErrors(app, 'start_handler'), 1, 'only the throw is counted')
  t.equal(await callbackErrors(app, 'cancel_handler'), 0)
})

t.test('a start handler must return a mission; any other value is an internal error', async (t) => {
  const { app, clock } = await serve(t)
  const client = await connect(app)
  const ids = ['live', 'forged']
  const live = app.missions.start({ id: 'live', name: 'job' })
  const garbage: unknown[] = [
    { id: 5 }, { id: undefined }, { then: 'x' }, [], Symbol('x'), 0n, app,
    { then: (_resolve: unknown, reject: (err: Error) => void) => reject(new Error('thenable')) },
    { id: 'unknown' }
  ]
  for (const value of garbage) {
    clock.advance(60_000)
    app.missions.handle({ start: { start: () => value as Mission } })
    t.equal(await start(client), 'internal_error')
  }
  app.missions.handle({ start: { start: () => ({ get id () { return ids.shift() } }) as Mission } })
  t.equal(await start(client), 'live', 'the id is read once')
  for (const answer of ['yes', 1, {}, undefined]) {
    clock.advance(60_000)
    app.missions.handle({ start: { authorize: () => answer as true, start: () => live } })
    t.equal(await start(client), 'forbidden', 'only true authorizes a client')
  }
  clock.advance(60_000)
  app.missions.handle({ start: { start: () => live } })
  t.equal(await start(client), 'live', 'the handler may return an active mission')
})

t.test('missions of a client that disconnects keep running, and pending starts continue', async (t) => {
  const asked = gate()
  const { opened, open } = gate()
  const { app } = await serve(t, {
    start: {
      start: async (text) => {
        const mission = app.missions.spawn(text, async (mission) => {
          await opened
          mission.signal.throwIfAborted()
        })
        if (text === 'slow') {
          asked.open()
          await opened
        }
        return mission
      }
    },
    cancel: {}
  })
  const [client, watcher] = [await connect(app), await connect(app)]
  await watcher.subscribe('mission_update')
  await start(client, 'quick')
  client.send({ type: 'mission_start', command: 'slow' })
  await asked.opened
  const caught = await uncaught(async () => {
    client.socket.terminate()
    await client.closed
    await watcher.settle()
    open()
    for (const { id } of app.missions.list().missions) t.equal((await app.missions.waitFor(id)).status, 'completed')
  })
  t.strictSame(caught, [])
  await watcher.settle()
  t.strictSame(transcript(watcher).sort(), ['quick completed', 'quick planning_started', 'slow completed', 'slow planning_started'])
})
