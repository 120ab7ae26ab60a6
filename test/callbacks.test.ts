import { runInNewContext } from 'node:vm'
import Fastify, { type FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createVirtualClock, type VirtualClock } from '../lib/base/virtual-clock.js'
import { connect as connectClient, type Client as ClientLibrary, type ClientOptions } from '../lib/client/index.js'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { boot, uncaught } from './support/app.js'
import { findCallbacks } from './support/callbacks.js'
import { connect, urlOf } from './support/client.js'

type Callback = (...args: unknown[]) => never

interface Stand { t: Test, app: FastifyInstance, clock: VirtualClock, callback: Callback }

/** What the caller gets, and how many log lines of the plugin say so. */
type Answer = [answer: unknown, logged: number]

interface Row {
  /** What a callback that works returns. */
  works: (app: FastifyInstance) => unknown
  options?: (callback: Callback) => MissionControlOptions
  /** Makes the package call the callback once, and returns what that led to. */
  call: (stand: Stand) => unknown
  /** `fails` stands for a throw and a rejection. */
  expected: { works: unknown, fails: Answer, hangs: Answer, garbage: Answer }
}

const PENDING = 'pending'

const turns = async (): Promise<void> => { for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve)) }

/** Advances the clock over every time limit of a callback. */
const pass = async (clock: VirtualClock): Promise<void> => {
  for (let step = 0; step < 4; step++) {
    await turns()
    clock.advance(5_000)
  }
  await turns()
}

const settled = async (stand: Stand, promise: Promise<unknown>): Promise<unknown> => {
  const answer = promise.then((value) => value, (err: Error) => `rejected: ${err.message}`)
  await pass(stand.clock)
  let result: unknown = PENDING
  for (let round = 0; round < 50 && result === PENDING; round++) result = await Promise.race([answer, turns().then(() => PENDING)])
  return result
}

/** Sends a message and returns the code of the error, or the type of the other reply. */
const ask = async ({ app, clock }: Stand, message: object): Promise<string> => {
  const client = await connect(app)
  client.send({ id: 'ask', ...message })
  let answer: string | undefined
  for (let round = 0; round < 500 && answer === undefined; round++) {
    await turns()
    clock.advance(100)
    for (const received of client.received) {
      if (!('replyTo' in received) || received.replyTo !== 'ask') continue
      answer = 'error' in received ? received.error.code : received.type
    }
    if (client.socket.readyState !== client.socket.OPEN) answer ??= 'closed'
  }
  client.socket.terminate()
  return answer ?? 'no answer'
}

const serializer = (name: string, fails: unknown, shown: (stand: Stand) => unknown, works: string = 'shown'): Row => ({
  works: () => works,
  options: (callback) => ({ missions: { serializers: { [name]: callback } } }),
  call: shown,
  expected: { works: name === 'task' ? [works] : works, fails: [fails, 1], hangs: [fails, 1], garbage: [fails, 0] }
})

/** The last update of a mission that `report` reports on. */
const lastUpdate = (report: (app: FastifyInstance) => void) => ({ app }: Stand) => {
  let update: unknown
  const remove = app.missions.on('mission_update', (newest) => { update = newest })
  report(app)
  remove()
  return update as Record<string, never>
}

const UNSERIALIZABLE = { unserializable: true }

const answered = (works: unknown, fails: unknown, hangs: unknown = fails, garbage: unknown = fails): Row['expected'] =>
  ({ works, fails: [fails, 1], hangs: [hangs, 1], garbage: [garbage, 0] })

/** A listener or a function whose answer changes nothing. */
const ignored = (works: unknown): Row['expected'] => ({ works, fails: [works, 1], hangs: [works, 0], garbage: [works, 0] })

/** Its error belongs to the caller. */
const passedOn = (garbage: unknown): Row['expected'] =>
  ({ works: 'done', fails: ['rejected: canary', 0], hangs: [PENDING, 0], garbage: [garbage, 0] })

const command = (handlers: (stand: Stand) => object, message: (app: FastifyInstance) => object) => async (stand: Stand) => {
  stand.app.missions.handle(handlers(stand))
  return await ask(stand, message(stand.app))
}

const startCommand = () => ({ type: 'mission_start', command: 'go' })
const cancelCommand = (app: FastifyInstance) => ({ type: 'mission_cancel', missionId: app.missions.start('job').id })
const startJob = ({ app }: Stand) => ({ start: () => app.missions.start('job') })

const health = ({ app, clock }: Stand) => async (): Promise<unknown> => {
  await app.ready()
  await pass(clock)
  const { components } = app.monitoring.health()
  return Object.values(components).map(({ status, error }) => error ?? status)[0] ?? app.monitoring.health().status
}

/** Connects a client, waits for its first error or until it has been open for some turns, at most `rounds`, and returns the error. */
const library = async ({ t, app }: Stand, options: ClientOptions, rounds: number, use: (client: ClientLibrary) => void): Promise<unknown> => {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
  const errors: string[] = []
  const client = connectClient(urlOf(app), { WebSocket: WebSocket as never, ...options })
  t.teardown(() => client.close())
  client.on('error', ({ code }) => { errors.push(code) })
  use(client)
  for (let round = 0; round < rounds && errors.length === 0 && client.state === 'connecting'; round++) await new Promise((resolve) => setTimeout(resolve, 1))
  await turns()
  client.close()
  return errors[0] ?? 'no error'
}

/** What no caller can use or print. */
const GARBAGE = Object.defineProperties({}, {
  toJSON: { value () { throw new Error('canary') } },
  toString: { value () { throw new Error('canary') } },
  then: { value: 'canary' }
})

const ROWS: Record<string, Row> = {
  'options.access.identify': {
    works: () => ({ id: 'ann' }),
    options: (identify) => ({ access: { identify } }),
    call: async (stand) => await settled(stand, stand.app.inject('/mission-control/ws-metrics').then(({ statusCode }) => statusCode)),
    expected: { ...answered(200, 401), garbage: [401, 1] }
  },
  'options.access.refresh': {
    works: () => ({ id: 'ann' }),
    options: (refresh) => ({ access: { identify: () => ({ id: 'ann' }), refresh } }),
    call: async (stand) => await ask(stand, { type: 'auth_refresh', token: 'new' }),
    expected: { ...answered('auth_refreshed', 'closed'), garbage: ['closed', 1] }
  },
  'options.access.authorize': {
    works: () => true,
    options: (authorize) => ({ access: { identify: () => ({ id: 'ann' }), authorize } }),
    call: async (stand) => await ask(stand, { type: 'subscribe', channels: ['mission_update'] }),
    expected: answered('subscription_ack', 'forbidden')
  },
  'options.onRequest': {
    works: () => undefined,
    options: (onRequest) => ({ onRequest: async (...args: unknown[]) => await onRequest(...args) as never }),
    call: async (stand) => await settled(stand, stand.app.inject('/health').then(({ statusCode }) => statusCode)),
    expected: { works: 200, fails: [500, 0], hangs: [PENDING, 0], garbage: [200, 0] }
  },
  'options.health.provider': {
    works: () => ({ status: 'healthy', database: { status: 'healthy' } }),
    options: (provider) => ({ health: { provider, intervalMs: 1_000_000 } }),
    call: async (stand) => await health(stand)(),
    expected: { works: 'healthy', fails: ['check_failed', 1], hangs: ['check_timeout', 1], garbage: ['invalid_report', 1] }
  },
  'options.alerts.add.evaluate': {
    works: () => ({ message: 'deep', value: 9, warning: 3 }),
    options: (evaluate) => ({
      channels: { anomalyAlertMs: 60_000 },
      alerts: { add: [{ rule: 'depth', evaluate, forMs: 0 }], rules: { 'monitoring.evaluation_failed': { forMs: 0 } } }
    }),
    async call ({ app, clock }) {
      await app.ready()
      for (const ms of [60_000, 10_000, 50_000]) {
        clock.advance(ms)
        await turns()
      }
      return app.monitoring.alerts().map(({ rule }) => rule).join()
    },
    expected: { ...answered('depth', 'monitoring.evaluation_failed'), hangs: ['monitoring.evaluation_failed', 1], garbage: ['monitoring.evaluation_failed', 1] }
  },
  'options.prometheus.registry': {
    works: () => ({ name: 'host', help: 'h', type: 'gauge', values: [{ labels: {}, value: 1 }], aggregator: 'sum' }),
    options (get) {
      const registry = new Registry()
      registry.registerMetric({ name: 'host', get, reset () {} } as never)
      return { prometheus: { registry } }
    },
    async call ({ app, clock }) {
      const rendered = app.missionControl.metrics.render()
      await pass(clock)
      return /^host 1$/m.test((await rendered).body)
    },
    expected: { works: true, fails: [false, 1], hangs: [false, 1], garbage: [false, 1] }
  },
  'options.missions.serializers.objective': serializer('objective', '[unserializable]', ({ app }) => app.missions.start({ name: 'job', objective: 'x' }).objective),
  'options.missions.serializers.planningSession': serializer('planningSession', UNSERIALIZABLE,
    (stand) => lastUpdate((app) => app.missions.start('job').planned({}))(stand)['planningSession']),
  'options.missions.serializers.task': serializer('task', [UNSERIALIZABLE],
    (stand) => lastUpdate((app) => app.missions.start('job').tasksGenerated([1]))(stand)['tasksSummary']),
  'options.missions.serializers.error': serializer('error', 'unknown error',
    ({ app }) => {
      const mission = app.missions.start('job')
      mission.fail(new Error('x'))
      return mission.outcome?.error?.message
    }),
  'missions.on(listener)': {
    works: () => undefined,
    call ({ app, callback }) {
      app.missions.on('mission_ended', callback)
      const mission = app.missions.start('job')
      mission.complete()
      return mission.status
    },
    expected: ignored('completed')
  },
  'mission.onEnd(listener)': {
    works: () => undefined,
    call ({ app, callback }) {
      const mission = app.missions.start('job')
      mission.onEnd(callback)
      mission.complete()
      return mission.status
    },
    expected: ignored('completed')
  },
  'monitoring.on(listener)': {
    works: () => undefined,
    call ({ app, callback }) {
      app.monitoring.on('operation_metric', callback)
      app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success' })
      return app.monitoring.operations().series.length
    },
    expected: ignored(1)
  },
  'options.routes.config': {
    works: () => ({ rateLimit: false }),
    call: async ({ callback }) => {
      const app = Fastify()
      try {
        await app.register(missionControl, { routes: { config: callback } })
        return app.hasRoute({ method: 'GET', url: '/health' })
      } catch (err) {
        return (err as { code: string }).code
      } finally {
        await app.close()
      }
    },
    expected: { works: true, fails: ['FST_MC_INVALID_OPTION', 0], hangs: ['FST_MC_INVALID_OPTION', 0], garbage: [true, 0] }
  },
  'monitoring.addHealthCheck(check).run': {
    works: () => undefined,
    call: async (stand) => {
      stand.app.monitoring.addHealthCheck({ name: 'db', run: stand.callback })
      return await health(stand)()
    },
    expected: { works: 'healthy', fails: ['check_failed', 1], hangs: ['check_timeout', 1], garbage: ['invalid_report', 1] }
  },
  'monitoring.time(fn)': {
    works: () => 'done',
    call: async (stand) => await settled(stand, (async () => await stand.app.monitoring.time('db', 'read', stand.callback))()),
    expected: passedOn(GARBAGE)
  },
  'missions.run(work)': {
    works: () => 'done',
    call: async (stand) => await settled(stand, stand.app.missions.run('job', stand.callback)),
    expected: passedOn(GARBAGE)
  },
  'missions.spawn(work)': {
    works: () => 'done',
    call: async (stand) => await settled(stand, stand.app.missions.spawn('job', stand.callback).done.then(({ status }) => status)),
    expected: { works: 'completed', fails: ['error', 0], hangs: [PENDING, 0], garbage: ['completed', 0] }
  },
  'mission.task(run)': {
    works: () => 'done',
    call: async (stand) => await settled(stand, stand.app.missions.start('job').task('one', stand.callback)),
    expected: passedOn(GARBAGE)
  },
  'missions.handle(handlers).start.start': {
    works: (app) => app.missions.start('job'),
    call: command(({ callback }) => ({ start: { start: callback } }), startCommand),
    expected: { ...answered('mission_ack', 'internal_error'), garbage: ['internal_error', 1] }
  },
  'missions.handle(handlers).start.authorize': {
    works: () => true,
    call: command((stand) => ({ start: { ...startJob(stand), authorize: stand.callback } }), startCommand),
    expected: answered('mission_ack', 'internal_error', 'internal_error', 'forbidden')
  },
  'missions.handle(handlers).cancel.authorize': {
    works: () => true,
    call: command(({ callback }) => ({ cancel: { authorize: callback } }), cancelCommand),
    expected: answered('mission_ack', 'internal_error', 'internal_error', 'unknown_mission')
  },
  'missionControl.revoke(who)': {
    works: () => true,
    options: () => ({ access: { identify: () => ({ id: 'ann' }) } }),
    async call ({ app, callback }) {
      const client = await connect(app)
      try {
        return app.missionControl.revoke(callback)
      } catch {
        return 'passed on'
      } finally {
        client.socket.terminate()
      }
    },
    expected: { works: 1, fails: ['passed on', 0], hangs: ['passed on', 0], garbage: [0, 0] }
  },
  'clientOptions.getToken': {
    works: () => 'token',
    call: async (stand) => await library(stand, { getToken: stand.callback }, 100, () => {}),
    expected: { works: 'no error', fails: ['MC_CLIENT_TOKEN_FAILED', 0], hangs: ['no error', 0], garbage: ['MC_CLIENT_INVALID_TOKEN', 0] }
  },
  'client.on(listener)': {
    works: () => undefined,
    call: async (stand) => await library(stand, {}, 10_000, (client) => client.on('state', stand.callback)),
    expected: { works: 'no error', fails: ['MC_CLIENT_LISTENER_FAILED', 0], hangs: ['no error', 0], garbage: ['no error', 0] }
  }
}

/**
 * Parts of a platform, which the package calls as it calls those of Node.js and of browsers, and values that are not called. What a
 * backplane or a Redis client may do wrong has tests of its own, and `backplaneConformance`.
 */
const NOT_CALLBACKS = [
  /^options\.backplane\.connect$/, /^redisOptions\.client\.duplicate$/, /^reporterOptions\.log\./,
  /^(options|clientOptions)\.clock\./, /^clientOptions\.(WebSocket|random)$/, /^clientOptions\.(document|window|storage)\./,
  /^client\.(waitFor|missions)\(options\)\.signal\./
]

const FOREIGN_REJECTION = () => runInNewContext("Promise.reject(new Error('canary'))")

const FAULTS: Record<string, [kind: 'fails' | 'hangs' | 'garbage', fault: () => unknown]> = {
  throws: ['fails', () => { throw new Error('canary') }],
  rejects: ['fails', async () => { throw new Error('canary') }],
  'rejects in another realm': ['fails', FOREIGN_REJECTION],
  'returns a thenable that rejects twice': ['fails', () => Object.assign(() => {}, {
    then (_resolve: unknown, reject: (err: Error) => void) {
      reject(new Error('canary'))
      reject(new Error('canary'))
    }
  })],
  'never settles': ['hangs', async () => await new Promise(() => {})],
  'returns garbage': ['garbage', () => GARBAGE]
}

const REENTRIES: Record<string, (app: FastifyInstance) => unknown> = {
  reports: (app) => app.missions.report('other', 'completed'),
  cancels: (app) => app.missions.views().map(({ id }) => app.missions.cancel(id)),
  closes: (app) => { app.close() }
}

t.test('the table has every function that the package takes', async (t) => {
  const found = findCallbacks().filter((name) => !NOT_CALLBACKS.some((pattern) => pattern.test(name)))
  t.strictSame(Object.keys(ROWS).sort(), found)
})

interface Outcome { answer: unknown, logged: number, caught: unknown[] }

async function play (t: Test, row: Row, behave: (app: FastifyInstance) => unknown): Promise<Outcome> {
  const lines: string[] = []
  let answer: unknown
  const caught = await uncaught(async () => {
    const clock = createVirtualClock(Date.UTC(2026, 0, 1))
    const called: { app?: FastifyInstance } = {}
    const callback = (() => behave(called.app!)) as unknown as Callback
    const logger = { level: 'debug', stream: { write: (line: string) => { lines.push(line) } } }
    const app = await boot(t, { clock, websocket: {}, ...row.options?.(callback) }, { logger })
    called.app = app
    answer = await row.call({ t, app, clock, callback })
    await pass(clock)
  })
  const failed = lines.filter((line) => line.includes('canary') || /failed"/.test(line)).filter((line) => line.includes('"plugin"'))
  // A callback that closes the app makes the next one come too late.
  const logged = failed.filter((line) => !line.includes('FST_MC_CLOSING')).length
  return { answer, logged, caught }
}

for (const [name, row] of Object.entries(ROWS)) {
  t.test(name, async (t) => {
    const { works, ...expected } = row.expected
    const good = await play(t, row, row.works)
    t.strictSame(good, { answer: works, logged: 0, caught: [] }, 'works')
    for (const [title, [kind, fault]] of Object.entries(FAULTS)) {
      const [answer, logged] = expected[kind]
      t.strictSame(await play(t, row, fault), { answer, logged, caught: [] }, title)
    }
    for (const [title, enter] of Object.entries(REENTRIES)) {
      let depth = 0
      const { logged, caught } = await play(t, row, (app) => {
        if (depth++ === 0) enter(app)
        return row.works(app)
      })
      t.strictSame({ logged, caught }, { logged: 0, caught: [] }, title)
      t.ok(depth > 0, `${title}: it was called`)
    }
  })
}

t.test('a logger that throws keeps no function from running, and is counted', async (t) => {
  const app = await boot(t, { missions: { maxActive: 1 } }, { logger: { level: 'warn', stream: { write () { throw new Error('canary') } } } })
  app.missions.start('job')
  t.equal(await app.missions.run('another', () => 'done'), 'done')
  t.match((await app.missionControl.metrics.render()).body, /callback_errors_total\{callback="log"\} 1$/m)
})
