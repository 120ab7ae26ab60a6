import swagger from '@fastify/swagger'
import Fastify, { type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { tryUpgrade } from './support/client.js'

const NAMES = {
  '/ws/mission-control': 'websocket',
  '/health': 'health',
  '/api/v1/metrics/prometheus': 'prometheus',
  '/mission-control/ws-metrics': 'wsMetrics',
  '/mission-control/asyncapi.json': 'asyncapi',
  '/mission-control': 'dashboard',
  '/mission-control/': 'dashboard',
  '/mission-control/assets/:file': 'dashboard',
  '/missions': 'missions',
  '/missions/:id': 'missions',
  '/missions/:id/cancel': 'missions'
}

type Config = NonNullable<MissionControlOptions['routes']>['config']

/** A service whose host looks at the routes of the plugin as other plugins do. */
async function bootWith (t: Test, config: Config, server: FastifyServerOptions = {}) {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: {} })
  const seen = new Map<string, { config: Record<string, unknown>, logLevel: string | undefined }>()
  app.addHook('onRoute', ({ url, config = {}, logLevel }) => { seen.set(url, { config: config as Record<string, unknown>, logLevel }) })
  await app.register(missionControl, { routes: { missions: '/missions', config } })
  await app.ready()
  return { app, seen }
}

t.test('routes.config reaches every route before the plugins of the host read it', async (t) => {
  const config = Object.freeze({ rateLimit: false })
  const { seen } = await bootWith(t, config)
  t.same([...seen.keys()].sort(), Object.keys(NAMES).sort())
  for (const [url, { config }] of seen) t.match(config, { rateLimit: false, missionControl: /^(http|websocket|health|dashboard)$/ }, url)
})

t.test('a function decides by the name of the route', async (t) => {
  const { seen } = await bootWith(t, (route) => ({ group: route }))
  for (const [url, name] of Object.entries(NAMES)) t.equal(seen.get(url)!.config['group'], name)
})

t.test('the mark of the plugin cannot be removed', async (t) => {
  const { seen } = await bootWith(t, { missionControl: undefined })
  for (const [url, { config }] of seen) t.type(config['missionControl'], 'string', url)
})

t.test('logLevel is the log level of the requests', async (t) => {
  const lines: string[] = []
  const logger = { level: 'info', stream: { write: (line: string) => { lines.push(line) } } }
  const { app } = await bootWith(t, (route) => ({ logLevel: route === 'health' ? 'silent' : 'info' }), { logger })
  await app.inject('/health')
  await app.inject('/api/v1/metrics/prometheus')
  t.equal(await tryUpgrade(app), 101)
  const urls = lines.map((line) => JSON.parse(line)).flatMap(({ req }) => req === undefined ? [] : [req.url])
  t.same(urls, ['/api/v1/metrics/prometheus', '/ws/mission-control'])
})

t.test('tags and hide reach the OpenAPI document, and the WebSocket route and the page stay hidden', async (t) => {
  const tagged = await bootWith(t, { tags: ['ops'], hide: false })
  const { paths } = tagged.app.swagger() as unknown as { paths: Record<string, Record<string, { tags: string[] }>> }
  const shown = Object.entries(NAMES).filter(([, name]) => name !== 'websocket' && name !== 'dashboard').map(([url]) => url)
  t.same(Object.keys(paths).sort(), shown.map((url) => url.replace(':id', '{id}')).sort())
  for (const methods of Object.values(paths)) for (const { tags } of Object.values(methods)) t.same(tags, ['ops'])
  const hidden = await bootWith(t, { hide: true })
  t.same(hidden.app.swagger().paths, {})
  const usual = await bootWith(t, undefined)
  t.match(usual.app.swagger().paths, { '/health': { get: { tags: ['mission-control'] } } })
})

t.test('a wrong value is refused', async (t) => {
  for (const config of ['x', 5, null]) {
    await t.rejects(bootWith(t, config as never), { code: 'FST_MC_INVALID_OPTION', message: /routes\.config is .*, but must be an object, or a function that returns one$/ })
  }
  const broken = () => { throw new Error('broken') }
  await t.rejects(bootWith(t, broken), { code: 'FST_MC_INVALID_OPTION', message: /routes\.config failed for the route "websocket"$/, cause: { message: 'broken' } })
  await t.rejects(bootWith(t, () => 5 as never), { code: 'FST_MC_INVALID_OPTION', cause: { message: 'expected an object, got 5' } })
})
