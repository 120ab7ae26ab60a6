// The cost of one Prometheus scrape: `npm run build && node bench/scrape.mjs [dist]`. Function calls come from the
// precise coverage of V8, CPU time from scrapes without coverage. `dist` is the folder of another build for a
// comparison, for example `../before/dist`.
import { Session } from 'node:inspector'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import Fastify from 'fastify'
import { Registry } from 'prom-client'

const WARM_UP = 300
const SAMPLES = 100
const SCRAPES_PER_SAMPLE = 20
const URL_PATH = '/api/v1/metrics/prometheus'
const ACCEPT = { text: 'text/plain;version=0.0.4', OpenMetrics: 'application/openmetrics-text;version=1.0.0' }

const dist = resolve(process.argv[2] ?? fileURLToPath(new URL('../dist', import.meta.url)))
const { default: missionControl } = await import(pathToFileURL(resolve(dist, 'lib/index.js')).href)
const places = { plugin: pathToFileURL(resolve(dist, 'lib')).href, 'prom-client': '/node_modules/prom-client/' }

/** A service with active and ended missions and three kinds of operations. */
async function boot (options) {
  const app = Fastify()
  await app.register(missionControl, options)
  await app.ready()
  for (let i = 0; i < 20; i++) {
    const mission = app.missions.start({ name: `mission ${i}` })
    if (i % 4 === 0) mission.complete()
  }
  for (let i = 0; i < 300; i++) {
    const status = i % 10 === 0 ? 'error' : 'success'
    app.monitoring.trackOperation({ component: 'db', operation: `query${i % 3}`, status, durationMs: i })
  }
  return app
}

/** Function calls of one scrape by place. */
async function countCalls (scrape) {
  const session = new Session()
  session.connect()
  const post = (method, params) => new Promise((resolve, reject) => {
    session.post(method, params, (err, answer) => err === null ? resolve(answer) : reject(err))
  })
  await post('Profiler.enable')
  await post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await post('Profiler.takePreciseCoverage')
  await scrape()
  const { result } = await post('Profiler.takePreciseCoverage')
  await post('Profiler.stopPreciseCoverage')
  session.disconnect()
  return Object.fromEntries(Object.entries(places).map(([place, address]) => [place, sumCalls(result, address)]))
}

function sumCalls (scripts, address) {
  const functions = scripts.filter(({ url }) => url.includes(address)).flatMap((script) => script.functions)
  return functions.reduce((sum, { ranges }) => sum + ranges[0].count, 0)
}

/** Median CPU time of one scrape in µs. */
async function measureCpu (scrape) {
  for (let i = 0; i < WARM_UP; i++) await scrape()
  const samples = []
  for (let i = 0; i < SAMPLES; i++) {
    const before = process.cpuUsage()
    for (let n = 0; n < SCRAPES_PER_SAMPLE; n++) await scrape()
    const { user, system } = process.cpuUsage(before)
    samples.push((user + system) / SCRAPES_PER_SAMPLE)
  }
  return samples.sort((a, b) => a - b)[SAMPLES >> 1]
}

const rows = {}
const registries = { 'no host': {}, 'a host': { prometheus: { registry: new Registry() } } }
for (const [registry, options] of Object.entries(registries)) {
  const app = await boot(options)
  for (const [format, accept] of Object.entries(ACCEPT)) {
    const ways = {
      render: () => app.missionControl.metrics.render(accept),
      GET: () => app.inject({ url: URL_PATH, headers: { accept } })
    }
    for (const [way, scrape] of Object.entries(ways)) {
      const cpu = await measureCpu(scrape)
      const calls = await countCalls(scrape)
      const total = Object.values(calls).reduce((a, b) => a + b)
      rows[`${registry} registry, ${format}, ${way}`] = { ...calls, 'all calls': total, 'CPU µs': Math.round(cpu) }
    }
  }
  await app.close()
}
console.table(rows)
