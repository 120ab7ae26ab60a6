import { once } from 'node:events'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { createVirtualClock, type VirtualClock } from '../lib/base/virtual-clock.js'
import type { Mission, MissionHandlers } from '../lib/missions/index.js'
import { Idempotency } from '../lib/missions/commands/idempotency.js'
import { TERMINAL_STATUSES, type MissionStatus, type MissionUpdate, type OptionsInput } from '../schemas/index.js'
import { boot, uncaught } from './support/app.js'
import { connect, type Client } from './support/client.js'

interface Service { app: FastifyInstance, clock: VirtualClock }

/** A service on a clock that stands still, with handlers if there are any. */
async function serve (t: Test, handlers?: MissionHandlers, missions: OptionsInput['missions'] = {}): Promise<Service> {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000, maxMessagesPerSecond: 100_000 }, missions })
  if (handlers !== undefined) app.missions.handle(handlers)
  return { app, clock }
}

let asked = 0

/** Sends a command and gives the mission's id of its ack, or the code of its error. */
async function command (client: Client, message: object, id = `command-${++asked}`): Promise<string> {
  let isAnswered = false
  const fits = ({ replyTo }: { replyTo?: string }) => !isAnswered && replyTo === id && (isAnswered = true)
  client.send({ ...message, id })
  return await Promise.race([
    client.next('mission_ack', fits).then(({ payload }) => payload.missionId),
    client.next('protocol_error', fits).then(({ error }) => error.code)
  ])
}

const start = async (client: Client, text = 'go', id?: string): Promise<string> => await command(client, { type: 'mission_start', command: text }, id)
const cancel = async (client: Client, missionId: string): Promise<string> => await command(client, { type: 'mission_cancel', missionId })

/** What a client has received of missions and commands so far, as short words in the order of their arrival. */
const story = ({ received }: Client): string[] => received.flatMap((message) => {
  if (message.type === 'mission_ack') return [`ack ${message.payload.action ?? 'start'}`]
  if (message.type === 'protocol_error') return [message.error.code]
  return message.type === 'mission_update' ? [`${message.payload.name} ${message.payload.status}`] : []
})

const updatesOf = (client: Client, missionId: string): MissionUpdate[] =>
  client.received.flatMap((message) => message.type === 'mission_update' && message.payload.missionId === missionId ? [message.payload] : [])

/** A promise and the function that settles it. */
function gate<T = void> (): { opened: Promise<T>, open: (value: T) => void } {
  let open: (value: T) => void = () => {}
  const opened = new Promise<T>((resolve) => { open = resolve })
  return { opened, open }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

const userOf = ({ request }: { request: unknown }) => (request as FastifyRequest).headers['x-user'] as string | undefined

async function callbackErrors (app: FastifyInstance, callback: string): Promise<number> {
  const { body } = await app.missionControl.metrics.render()
  return Number(new RegExp(`^mission_control_callback_errors_total\\{callback="${callback}"\\} (\\d+)$`, 'm').exec(body)?.[1] ?? 0)
}

t.test('what clients may do is what the last handle() gave', async (t) => {
  const { app } = await serve(t)
  const client = await connect(app)
  const mission = app.missions.start('job')
  const capabilities = async () => (await client.send({ type: 'whoami' }).next('whoami')).payload.capabilities

  for (const handlers of [{}, { view: { authorize: () => true } }, { identify: () => 'ann' }, { start: undefined, cancel: undefined } as never]) {
    app.missions.handle(handlers)
    t.same(await capabilities(), [])
    t.same([await start(client), await cancel(client, mission.id)], ['unsupported', 'unsupported'])
  }
  app.missions.handle({ cancel: {} })
  t.same(await capabilities(), ['mission_cancel'])
  t.same([await start(client), await cancel(client, mission.id)], ['unsupported', mission.id])
  app.missions.handle({ start: { start: () => app.missions.start('started') } })
  t.same(await capabilities(), ['mission_start'], 'what is not given again is off')
  t.match([await start(client), await cancel(client, mission.id)], [/^mission_/, 'unsupported'])
})

t.test('handle() refuses whatever could mean more, or less, than the host thinks', async (t) => {
  const { app } = await serve(t)
  const client = await connect(app)
  const run = () => app.missions.start('job')
  const authorize = () => true
  const wrong: Array<[unknown, RegExp]> = [
    [undefined, /the handlers must be an object/], [null, /the handlers must be an object/], [run, /the handlers must be an object/],
    [{ stop: {} }, /the handlers has no "stop"; there are start, cancel, view, identify/],
    [{ cancel: false }, /cancel must be an object/], [{ cancel: true }, /cancel must be an object/], [{ start: null }, /start must be an object/],
    [{ start: run }, /start must be an object/], [{ view: 'all' }, /view must be an object/],
    [{ start: { authorize } }, /start\.start must be a function/],
    [{ cancel: { authorise: authorize } }, /cancel has no "authorise"; there are authorize/],
    [{ start: { start: run, autorize: authorize } }, /start has no "autorize"/],
    [{ view: { authorize: true } }, /view\.authorize must be a function/], [{ identify: 'ann' }, /identify must be a function/],
    [{ start: { start: run, schema: { type: 'number or so' } } }, /start\.schema can't be used/], [{ start: { start: run, schema: null } }, /start\.schema can't be used/],
    [{ start: { start: run, schema: { $async: true, type: 'object' } } }, /start\.schema can't be used \(it is asynchronous\)/]
  ]
  app.missions.handle({ cancel: {} })
  for (const [handlers, message] of wrong) {
    t.throws(() => app.missions.handle(handlers as MissionHandlers), { code: 'FST_MC_INVALID_HANDLER', message })
  }
  t.match((await client.send({ type: 'whoami' }).next('whoami')).payload.capabilities, ['mission_cancel'], 'the handlers stay as they were')

  class Starter {
    readonly #name = 'job'
    start () { return app.missions.start(this.#name) }
  }
  app.missions.handle({ start: new Starter() })
  t.match(await start(await connect(app)), /^mission_/, 'methods of a class are as good')
})

t.test('a command', async (t) => {
  /** What the handler is given for each text; refused texts are not there. */
  const read = async (t: Test, texts: string[], schema?: object) => {
    const seen: unknown[] = []
    const { app, clock } = await serve(t, {
      start: {
        ...(schema && { schema }),
        start: (text, { params }) => {
          seen.push(params === undefined ? text : { params })
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
    return { seen, answers }
  }

  t.test('is the host\'s own text, handed on as it is, unless it is /mission', async (t) => {
    const texts = ['nightly', ' /mission {"a":1}', '/missions', '/mission-control {}', '/Mission {}', '{"a":1}', '/deploy --all\nnow', '\u2028', '__proto__']
    const { seen, answers } = await read(t, texts)
    t.strictSame(seen, texts)
    t.ok(answers.every((answer) => answer === 'accepted'))
  })

  t.test('that is /mission and JSON brings its params', async (t) => {
    const { seen } = await read(t, ['/mission {"a":[1,{"b":null}]}', '/mission\t\n  {}  ', '/mission{"a":1}', '/mission []', '/mission "text"', '/mission 0', '/mission null', '/mission {"constructor":1}'])
    t.strictSame(seen, [{ a: [1, { b: null }] }, {}, { a: 1 }, [], 'text', 0, null, { constructor: 1 }].map((params) => ({ params })))
  })

  t.test('that is /mission and no JSON is refused, and never taken for text', async (t) => {
    const texts = ['/mission', '/mission ', '/mission\n', '/mission all of them', '/mission {', '/mission {a:1}', '/mission{"a":', '/mission {} {}', '/mission \u00a0', `/mission ${'['.repeat(8_000)}`]
    const { seen, answers } = await read(t, texts)
    t.strictSame(seen, [])
    t.strictSame(answers, texts.map(() => 'invalid_command'))
  })

  t.test('with a key that could change a prototype is refused, wherever the key is and however it is written', async (t) => {
    const texts = ['{"__proto__":{"polluted":1}}', '{"a":{"b":[{"__proto__":1}]}}', '{"\\u005f_proto__":1}', '{"constructor":{"prototype":{"polluted":1}}}', '{"prototype":1}']
    const { seen, answers } = await read(t, texts.map((text) => `/mission ${text}`))
    t.strictSame(seen, [])
    t.strictSame(answers, texts.map(() => 'invalid_command'))
    t.equal(({} as { polluted?: unknown }).polluted, undefined)
  })

  t.test('must have params that fit the schema, as they are, where there is one', async (t) => {
    const schema = Type.Object({ scope: Type.String({ maxLength: 5 }), depth: Type.Optional(Type.Integer({ default: 3 })) }, { additionalProperties: false })
    const bad = ['scope', '/mission {}', '/mission {"scope":1}', '/mission {"scope":"longer"}', '/mission {"scope":"a","depth":"2"}', '/mission {"scope":"a","x":1}', '/mission null', '/mission []']
    const { seen, answers } = await read(t, [...bad, '/mission {"scope":"a","depth":2}', '/mission {"scope":"a"}'], schema)
    t.strictSame(answers, [...bad.map(() => 'invalid_command'), 'accepted', 'accepted'])
    t.strictSame(seen, [{ params: { scope: 'a', depth: 2 } }, { params: { scope: 'a' } }], 'nothing is converted and no default filled in')
  })

  t.test('is not repeated in its refusal', async (t) => {
    const { app } = await serve(t, { start: { schema: Type.Object({ scope: Type.Integer() }), start: () => app.missions.start('job') } })
    const client = await connect(app)
    for (const text of ['canary', '/mission canary', '/mission {"canary":1}', '/mission {"scope":"canary"}']) {
      client.send({ type: 'mission_start', command: text })
      t.notMatch(JSON.stringify(await client.next('protocol_error')), /canary/)
    }
  })
})

t.test('a start command is validated, then known again by its id, then limited, then authorized, then carried out', async (t) => {
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
  t.strictSame(calls, ['authorize', 'start', 'authorize'], 'a handler that says no has the last word')
  for (let i = 0; i < 3; i++) await start(client, ann)
  calls.length = 0
  t.equal(await start(client, '/mission {"who":1}'), 'invalid_command', 'the limit is reached, yet a wrong command is called wrong')
  t.equal(await start(client, '/mission {"who":1}', 'k'), 'invalid_command', 'and is not looked up')
  t.equal(await start(client, ann, 'k'), first, 'a known id is answered beyond the limit')
  t.equal(await start(client, '/mission {"who":"bob"}', 'k'), 'id_reused')
  t.equal(await start(client, '/mission {"who":"bob"}'), 'too_many_starts', 'not forbidden')
  t.strictSame(calls, [])
})

t.test('a connection may start five missions a minute', async (t) => {
  const { app, clock } = await serve(t, { start: { authorize: (text) => text !== 'forbidden', start: (text) => app.missions.start(text) } })
  const [client, other] = [await connect(app), await connect(app)]
  const starts = async (...texts: string[]) => {
    const answers: string[] = []
    for (const text of texts) answers.push((await start(client, text)).replace(/^mission_.*/, 'ok'))
    return answers
  }
  t.strictSame(await starts('a', 'b', 'forbidden'), ['ok', 'ok', 'forbidden'])
  clock.advance(30_000)
  t.strictSame(await starts('c', 'd', 'e'), ['ok', 'ok', 'too_many_starts'], 'a refused one is one of the five')
  t.match(await start(other), /^mission_/, 'another connection has five of its own')
  clock.advance(29_999)
  t.strictSame(await starts('f'), ['too_many_starts'])
  clock.advance(1)
  t.strictSame(await starts('g', 'h', 'i', 'j'), ['ok', 'ok', 'ok', 'too_many_starts'], 'a try that was refused for it costs nothing')
  clock.advance(30_000)
  t.strictSame(await starts('k', 'l', 'm'), ['ok', 'ok', 'too_many_starts'])
})

t.test('the ack comes before the first update', async (t) => {
  const handlers: Record<string, (app: FastifyInstance) => Mission | Promise<Mission>> = {
    'of a mission that ended at once': (app) => {
      const mission = app.missions.start('job')
      mission.complete()
      return mission
    },
    'of a mission that runs in the background and has ended': async (app) => {
      const mission = app.missions.spawn('job', () => {})
      await mission.done
      return mission
    },
    'of a mission that runs to its end within the handler': async (app) => await app.missions.run('job', (mission) => mission),
    'of a mission that fails within the handler': async (app) => {
      const mission = app.missions.spawn('job', () => { throw new Error('broken') })
      await mission.done
      return mission
    },
    'of a mission that is known by its id alone': (app) => {
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
      const [ack, ...updates] = story(client)
      t.equal(ack, 'ack start')
      await watcher.settle()
      t.strictSame(story(watcher), updates, 'others hear the same')
      t.strictSame(updatesOf(client, missionId).map(({ seq }) => seq), updates.map((_, at) => at + 1), 'and nothing is lost')
      t.ok(updates.length > 0)
    })
  }

  t.test('of a mission that ended at once and is not kept', async (t) => {
    const { app } = await serve(t, {
      start: {
        start: () => {
          const mission = app.missions.start('job')
          mission.complete()
          return mission
        }
      }
    }, { maxEnded: 0 })
    const client = await connect(app)
    await client.subscribe('mission_update')
    t.match(await start(client), /^mission_/)
    await client.settle()
    t.strictSame(story(client), ['ack start', 'job planning_started', 'job completed'])
  })

  t.test('of everything else that the handler made, in its order', async (t) => {
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
    const [ack, ...updates] = story(client)
    t.equal(ack, 'ack start')
    t.strictSame(updates.filter((update) => update.startsWith('parent')), ['parent planning_started', 'parent completed'])
    t.strictSame(updates.filter((update) => update.startsWith('child')), ['child planning_started', 'child completed'])
    t.strictSame(updates.filter((update) => update.startsWith('other')), ['other planning_started', 'other execution_started'])
  })

  t.test('and so does an error, of a handler that starts a mission and fails', async (t) => {
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
    t.strictSame(story(client), ['internal_error', 'orphan planning_started', 'orphan planning_started'])
    t.match(app.missions.list().missions[0]!.cancel, { kind: 'client', reason: 'The start failed' }, 'and the mission is asked to end')
  })

  t.test('of what a listener reports while it is told', async (t) => {
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
    t.strictSame(story(client), ['ack start', 'job planning_started', 'job tasks_generated', 'job execution_started', 'job completed'])
  })

  t.test('for everybody who sent the same command at once', async (t) => {
    const { opened, open } = gate()
    const { app } = await serve(t, {
      identify: userOf,
      start: {
        start: async () => {
          const mission = app.missions.start('job')
          await opened
          return mission
        }
      }
    })
    const clients = await Promise.all([1, 2, 3].map(async () => await connect(app, { headers: { 'x-user': 'ann' } })))
    for (const client of clients) {
      await client.subscribe('mission_update')
      client.send({ type: 'mission_start', command: 'go', id: 'k' })
      await client.settle()
    }
    open()
    for (const client of clients) {
      await client.next('mission_update')
      t.strictSame(story(client), ['ack start', 'job planning_started'])
    }
  })

  t.test('and what comes after it is told at once', async (t) => {
    const { app } = await serve(t, { start: { start: () => app.missions.start('job') } })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const mission = app.missions.get(await start(client))!
    const told: MissionStatus[] = []
    await turn()
    app.missions.on('mission_update', ({ status }) => { told.push(status) })
    mission.complete()
    t.strictSame(told, ['completed'])
  })
})

t.test('the id of a start command', async (t) => {
  /** A service that counts how often its handler runs, and knows its users by a header. */
  const count = async (t: Test, { identify }: { identify?: MissionHandlers['identify'] } = {}) => {
    const runs: string[] = []
    const { app, clock } = await serve(t, {
      ...(identify && { identify }),
      start: {
        start: (text) => {
          runs.push(text)
          return app.missions.start(text)
        }
      }
    })
    return { app, clock, runs }
  }
  const as = async (app: FastifyInstance, user: string) => await connect(app, { headers: { 'x-user': user } })

  t.test('makes a repetition answer with the same mission for five minutes', async (t) => {
    const { app, clock, runs } = await count(t)
    const client = await connect(app)
    const first = await start(client, 'go', 'k')
    clock.advance(299_999)
    t.equal(await start(client, 'go', 'k'), first)
    t.strictSame(runs, ['go'])
    clock.advance(1)
    t.not(await start(client, 'go', 'k'), first, 'a repetition does not prolong it')
    t.strictSame(runs, ['go', 'go'])
  })

  t.test('answers for a mission that has ended too', async (t) => {
    const { app } = await count(t)
    const client = await connect(app)
    const first = await start(client, 'go', 'k')
    app.missions.get(first)!.complete()
    t.equal(await start(client, 'go', 'k'), first)
  })

  t.test('may not stand for another command meanwhile', async (t) => {
    const { app, clock, runs } = await count(t)
    const client = await connect(app)
    const first = await start(client, 'go', 'k')
    t.equal(await start(client, 'go on', 'k'), 'id_reused')
    t.equal(await start(client, 'go', 'k'), first, 'the first one stands')
    clock.advance(300_000)
    t.not(await start(client, 'go on', 'k'), first)
    t.strictSame(runs, ['go', 'go on'])
  })

  t.test('is the connection\'s own where nobody says who the client is', async (t) => {
    const { app } = await count(t)
    const client = await connect(app)
    const [first, other] = [await start(client, 'go', 'k'), await start(await connect(app), 'go', 'k')]
    t.not(other, first)
    t.match(await start(await connect(app), 'another', 'k'), /^mission_/, 'nor is it in anybody\'s way')
    await client.close()
    t.not(await start(await connect(app), 'go', 'k'), first)
  })

  t.test('outlives a reconnect of the same user, and says nothing to others', async (t) => {
    const { app, runs } = await count(t, { identify: userOf })
    const ann = await as(app, 'ann')
    const first = await start(ann, 'go', 'k')
    await ann.close()
    t.equal(await start(await as(app, 'ann'), 'go', 'k'), first)
    t.equal(await start(await as(app, 'ann'), 'stop', 'k'), 'id_reused')
    t.not(await start(await as(app, 'bob'), 'go', 'k'), first)
    t.match(await start(await as(app, 'eve'), 'stop', 'k'), /^mission_/)
    t.strictSame(runs, ['go', 'go', 'stop'])
  })

  t.test('makes one mission of a command sent 100 times over 3 reconnects', async (t) => {
    const { app, runs } = await count(t, { identify: userOf })
    const answers = new Set<string>()
    for (let connection = 0; connection < 4; connection++) {
      const client = await as(app, 'ann')
      for (const answer of await Promise.all(Array.from({ length: 25 }, async () => await start(client, 'go', 'k')))) answers.add(answer)
      await client.close()
    }
    t.equal(answers.size, 1)
    t.strictSame(runs, ['go'])
    t.equal(app.missions.stats().total, 1)
  })

  t.test('runs the handler once for two at the same time, also from two connections', async (t) => {
    const { opened, open } = gate()
    let runs = 0
    const { app } = await serve(t, {
      identify: userOf,
      start: {
        start: async () => {
          runs++
          await opened
          return app.missions.start('job')
        }
      }
    })
    const [one, two] = [await as(app, 'ann'), await as(app, 'ann')]
    const go = { type: 'mission_start', command: 'go', id: 'k' }
    await one.send(go).send(go).settle()
    two.send(go).send({ ...go, command: 'another' })
    t.match(await two.next('protocol_error'), { replyTo: 'k', error: { code: 'id_reused' } }, 'the first one is known while it runs')
    open()
    const acks = [await one.next('mission_ack'), await one.next('mission_ack'), await two.next('mission_ack')]
    t.equal(new Set(acks.map(({ payload }) => payload.missionId)).size, 1)
    t.equal(runs, 1)
  })

  t.test('is free again when the start failed, however it failed', async (t) => {
    let answer: () => unknown = () => { throw new Error('busy') }
    let isAllowed = false
    const { app, clock } = await serve(t, { start: { authorize: () => isAllowed, start: () => answer() as Mission } })
    const client = await connect(app)
    t.equal(await start(client, 'go', 'k'), 'forbidden')
    isAllowed = true
    t.equal(await start(client, 'go', 'k'), 'internal_error')
    t.equal(await start(client, 'something else', 'k'), 'internal_error', 'not id_reused')
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

  t.test('may be empty, and is not needed', async (t) => {
    const { app, runs } = await count(t)
    const client = await connect(app)
    const first = await start(client, 'go', '')
    t.equal(await start(client, 'go', ''), first)
    for (let i = 0; i < 2; i++) client.send({ type: 'mission_start', command: 'go' })
    const [one, two] = [await client.next('mission_ack'), await client.next('mission_ack')]
    t.not(one.payload.missionId, two.payload.missionId)
    t.equal(runs.length, 3)
  })

  t.test('stays the connection\'s own for a client that nobody knows', async (t) => {
    const { app } = await count(t, { identify: userOf })
    const [one, two] = [await connect(app), await connect(app)]
    const first = await start(one, 'go', 'k')
    t.not(await start(two, 'go', 'k'), first)
    t.equal(await start(one, 'go', 'k'), first)
  })

  t.test('is worth nothing, and nothing is started, where the host can\'t say whose it is', async (t) => {
    const bad: Array<() => unknown> = [() => { throw new Error('canary') }, () => 7, () => null, () => '', () => ({}), async () => 'ann', async () => { throw new Error('canary') }]
    const { app, runs } = await count(t)
    const caught = await uncaught(async () => {
      for (const identify of bad) {
        app.missions.handle({ identify: identify as () => string, start: { start: () => app.missions.start('job') } })
        t.equal(await start(await connect(app), 'go', 'k'), 'internal_error', String(identify))
      }
      await turn()
    })
    t.strictSame(caught, [])
    t.strictSame(runs, [])
    t.equal(await callbackErrors(app, 'identify_handler'), bad.length + 1, 'each is counted, and the rejection too')
  })

  t.test('can\'t be made to look like that of another user', async (t) => {
    const { app } = await count(t, { identify: userOf })
    for (const [user, id, other, otherId] of [['a b', 'c', 'a', 'b c'], ['a" b', 'c', 'a', 'b" c'], ['"a"', 'c', 'a', 'c']] as const) {
      t.not(await start(await as(app, user), 'go', id), await start(await as(app, other), 'go', otherId))
    }
  })
})

t.test('what is known of ids is bounded: the oldest goes first', async (t) => {
  const clock = createVirtualClock()
  const known = new Idempotency<number>(clock, { keepMs: 1_000, max: 2 })
  let runs = 0
  const run = async (key: string) => {
    const keyed = known.once(key, 'same', async () => ++runs, () => true)
    return keyed.isConflict ? 'conflict' : await keyed.outcome
  }
  t.strictSame([await run('a'), await run('b'), await run('a'), await run('b')], [1, 2, 1, 2], 'a repetition takes no room')
  t.strictSame([await run('c'), await run('b'), await run('a'), await run('c')], [3, 2, 4, 3])
})

t.test('mission_cancel', async (t) => {
  const phases: Array<[string, (mission: Mission) => void]> = [
    ['planning_started', () => {}],
    ['tasks_generated', (mission) => { mission.tasksGenerated(['a']) }],
    ['planned', (mission) => { mission.planned() }],
    ['execution_started', (mission) => { mission.executionStarted() }],
    ['execution_progress', (mission) => { mission.progress({ taskId: 'a', index: 1, total: 2, status: 'started' }) }]
  ]

  t.test('reaches the work in every phase, and everybody sees the request and the end', async (t) => {
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
      const [asking, end] = updatesOf(watcher, mission.id).slice(-2)
      t.match(asking, { status: phase, cancel: { requested: true, kind: 'client' } }, 'the status is what it was')
      t.match(end, { status: 'cancelled' })
    }
  })

  t.test('is accepted again and again, and told once', async (t) => {
    const { app } = await serve(t, { cancel: {} })
    const [client, other] = [await connect(app), await connect(app)]
    await client.subscribe('mission_update')
    const mission = app.missions.start('job')
    for (const asking of [client, other, client]) t.equal(await cancel(asking, mission.id), mission.id)
    mission.report('cancelled')
    t.equal(await cancel(client, mission.id), mission.id, 'also after the end')
    await client.settle()
    t.strictSame(story(client), ['job planning_started', 'job planning_started', 'ack cancel', 'ack cancel', 'job cancelled', 'ack cancel'])
  })

  t.test('of work that does not listen is carried out when its grace is over', async (t) => {
    const { app, clock } = await serve(t, { cancel: {} })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const mission = app.missions.start('deaf')
    await cancel(client, mission.id)
    clock.advance(9_999)
    t.equal(mission.status, 'planning_started')
    clock.advance(1)
    await client.settle()
    t.match(updatesOf(client, mission.id).at(-1), { status: 'cancelled', cancel: { kind: 'client', forced: true } })
  })

  t.test('may be sent by somebody who did not start the mission, while its start is not even acknowledged', async (t) => {
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
    t.strictSame(story(client), ['ack start', 'job planning_started', 'job planning_started'])
    t.match(updatesOf(client, 'early')[1], { cancel: { kind: 'client' } })
  })

  t.test('of a mission the client may not see answers exactly as for one that does not exist', async (t) => {
    const { app } = await serve(t)
    const client = await connect(app, { headers: { 'x-user': 'ann' } })
    const mission = app.missions.start({ name: 'job', tenant: 'acme' })
    const ask = async (missionId: string) => {
      const { id: _, timestamp: __, unix: ___, ...rest } = await client.send({ type: 'mission_cancel', missionId, id: 'c' }).next('protocol_error')
      return rest
    }
    const isTheirs = (candidate: Mission, context: { request: unknown }) => candidate.tenant === userOf(context)
    const hidden: Array<[string, MissionHandlers]> = [
      ['cancel.authorize says no', { cancel: { authorize: isTheirs } }],
      ['cancel.authorize says no later', { cancel: { authorize: async (...args) => isTheirs(...args) } }],
      ['cancel.authorize says nothing', { cancel: { authorize: (() => undefined) as never } }],
      ['view.authorize says no', { cancel: {}, view: { authorize: isTheirs } }],
      ['view.authorize says no, whatever cancel.authorize says', { cancel: { authorize: () => true }, view: { authorize: isTheirs } }],
      ['view.authorize fails', { cancel: {}, view: { authorize: () => { throw new Error('canary') } } }]
    ]
    for (const [title, handlers] of hidden) {
      app.missions.handle(handlers)
      const unknown = await ask('mission_00000000-0000-4000-8000-000000000000')
      t.equal(unknown.error.code, 'unknown_mission')
      t.strictSame(await ask(mission.id), unknown, title)
    }
    t.equal(mission.view().cancel, null)
    app.missions.handle({ cancel: { authorize: () => true }, view: { authorize: () => true } })
    t.equal(await cancel(client, mission.id), mission.id)
  })

  t.test('that the host allows too late does nothing any more', async (t) => {
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
    t.equal(mission.view().cancel, null, 'the client was told that it failed')
    t.equal(await callbackErrors(app, 'cancel_handler'), 1)
  })
})

t.test('a view.authorize that answers with a promise shows nothing, and a rejection of it ends nothing', async (t) => {
  const { app } = await serve(t, { cancel: {}, view: { authorize: (async () => { throw new Error('rejected') }) as never } })
  const client = await connect(app)
  const mission = app.missions.start('job')
  t.strictSame(await uncaught(async () => { t.equal(await cancel(client, mission.id), 'unknown_mission') }), [])
  t.equal(await callbackErrors(app, 'view_handler'), 2)
})

t.test('a start that the host allows too late is not carried out', async (t) => {
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
  t.strictSame(story(client), [])
  clock.advance(1)
  t.equal(await answer, 'internal_error')
  open(true)
  await turn()
  t.equal(app.missions.stats().total, 0, 'the client may have asked again')
})

t.test('a handler that took too long', async (t) => {
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
    return { app, story: story(client) }
  }

  t.test('finds its missions asked to end, since the client may have asked again', async (t) => {
    const { app, story } = await late(t, (app) => app.missions.start('late'))
    t.strictSame(story, ['internal_error', ...Array(2).fill('early planning_started'), ...Array(2).fill('late planning_started')])
    t.same(app.missions.list().missions.map(({ cancel }) => cancel?.kind), ['client', 'client'])
    t.equal(await callbackErrors(app, 'start_handler'), 1)
  })

  t.test('may reject without a harm, and both failures are counted', async (t) => {
    const { app, story } = await late(t, () => { throw new Error('late') })
    t.strictSame(story, ['internal_error', 'early planning_started', 'early planning_started'])
    t.equal(await callbackErrors(app, 'start_handler'), 2)
  })
})

t.test('a handler that answers in time leaves no timer', async (t) => {
  const { app, clock } = await serve(t, { start: { start: () => app.missions.start('job') }, cancel: {} })
  const client = await connect(app)
  const id = await start(client)
  app.missions.handle({ start: { start: () => { throw new Error('broken') } }, cancel: {} })
  await cancel(client, id)
  await start(client)
  clock.advance(10_000)
  await client.settle()
  t.equal(await callbackErrors(app, 'start_handler'), 1, 'the throw, and no time-out after it')
  t.equal(await callbackErrors(app, 'cancel_handler'), 0)
})

t.test('garbage from a handler is an error, and its mission\'s id can\'t be forged', async (t) => {
  const { app, clock } = await serve(t)
  const client = await connect(app)
  const ids = ['live', 'forged']
  const live = app.missions.start({ id: 'live', name: 'job' })
  const garbage: unknown[] = [
    { id: 5 }, { id: undefined }, { then: 'x' }, [], Symbol('x'), 0n, app,
    { then: (_resolve: unknown, reject: (err: Error) => void) => reject(new Error('thenable')) },
    { id: 'nobody' }
  ]
  for (const value of garbage) {
    clock.advance(60_000)
    app.missions.handle({ start: { start: () => value as Mission } })
    t.equal(await start(client), 'internal_error')
  }
  app.missions.handle({ start: { start: () => ({ get id () { return ids.shift() } }) as Mission } })
  t.equal(await start(client), 'live', 'it is read once')
  for (const answer of ['yes', 1, {}, undefined]) {
    clock.advance(60_000)
    app.missions.handle({ start: { authorize: () => answer as true, start: () => live } })
    t.equal(await start(client), 'forbidden', 'only true lets a client in')
  }
  clock.advance(60_000)
  app.missions.handle({ start: { start: () => live } })
  t.equal(await start(client), 'live', 'a mission that lives already is as good as a new one')
})

t.test('a client that leaves cancels neither what it started nor what is being started', async (t) => {
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
  t.strictSame(story(watcher).sort(), ['quick completed', 'quick planning_started', 'slow completed', 'slow planning_started'], 'others see all of it')
})
