import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { collectDefaultMetrics, Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import { boot } from './support/app.js'
import { connect, ensureListening } from './support/client.js'
import { prometheus, startPrometheus, type PrometheusServer } from './support/prometheus-server.js'
import { findPromtool, onlyWith, pathOf } from './support/skip.js'
import { traceFile } from './support/trace-data.js'

const folder = resolve(fileURLToPath(import.meta.url), '../../docs/monitoring')
const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

interface Rule { record?: string, alert?: string, expr: string, for?: string, labels?: { severity: string }, annotations?: { summary: string, runbook: string } }
interface Panel { id: number, type: string, title: string, description?: string, gridPos: { x: number, y: number, w: number, h: number }, targets?: Array<{ expr: string, datasource: object }> }
interface Board {
  panels: Panel[]
  templating: { list: Array<{ name: string, type: string, definition?: string }> }
  annotations: { list: Array<{ name: string, expr: string }> }
}
interface RuleTest { name: string, input_series: object[], promql_expr_test: Array<{ exp_samples: Array<{ labels: string }> }> }

const rules = (parse(read('rules.yml')) as { groups: Array<{ rules: Rule[] }> }).groups.flatMap((group) => group.rules)
const alerts = rules.filter((rule): rule is Rule & { alert: string } => rule.alert !== undefined)
const board = JSON.parse(read('grafana.json')) as Board
const promtool = findPromtool()
const trace = traceFile('genai-requests.csv')

/** Every query of the board and of the rules, by a name for messages. */
const QUERIES: Array<[name: string, expr: string]> = [
  ...board.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }): [string, string] => [`board: ${title}`, expr])),
  ...board.annotations.list.map(({ name, expr }): [string, string] => [`board: ${name}`, expr]),
  ...rules.map(({ record, alert, expr }): [string, string] => [`rules: ${record ?? alert}`, expr])
]

t.test('promtool accepts the rules and the configuration, and the rules pass their tests', onlyWith(promtool), async (t) => {
  for (const args of [['check', 'rules', 'rules.yml'], ['check', 'config', 'prometheus.yml'], ['test', 'rules', 'rules.test.yml']]) {
    const { status, stdout, stderr } = spawnSync(pathOf(promtool), args, { cwd: folder, encoding: 'utf8' })
    t.equal(status, 0, `${args.join(' ')}: ${stdout}${stderr}`)
  }
})

t.test('each alert has a severity, a summary, a runbook sentence, and a quiet and a loud test', async (t) => {
  const { tests } = parse(read('rules.test.yml')) as { tests: RuleTest[] }
  const expected = (name: string) => tests.find((test) => test.name.startsWith(name))?.promql_expr_test[0]?.exp_samples.map(({ labels }) => labels)
  t.ok(alerts.length >= 20)
  t.equal(new Set(alerts.map(({ alert }) => alert)).size, alerts.length)
  for (const { alert, labels, annotations } of alerts) {
    t.match(labels?.severity, /^(critical|warning|info)$/, alert)
    t.match(annotations?.summary, /\w.*\.$/, alert)
    t.match(annotations?.runbook, /\w.*\.$/, alert)
    t.strictSame(expected(`${alert}, quiet: `), [], alert)
    t.strictSame(expected(`${alert}, loud: `), [`{alertname="${alert}"}`], alert)
  }
  t.equal(tests.length, 2 * alerts.length)
})

t.test('the page on operations lists the alerts by group', async (t) => {
  const page = readFileSync(join(folder, '../operations.md'), 'utf8').split('## What should I alert on?')[1]!.split('\n## ')[0]!
  const listed = page.split('\n').filter((line) => line.startsWith('| ')).flatMap((line) => [...line.matchAll(/`(\w+)`/g)].map((match) => match[1]!))
  t.strictSame(listed, alerts.map(({ alert }) => alert))
})

t.test('the board has its rows, variables, annotations and panels without overlap', async (t) => {
  const { panels, templating, annotations } = board
  t.strictSame(panels.filter(({ type }) => type === 'row').map(({ title }) => title), ['Overview', 'Missions', 'Operations', 'Real-time', 'Health', 'Process'])
  t.strictSame(templating.list.map(({ name }) => name), ['datasource', 'job', 'instance'])
  t.ok(annotations.list.length >= 2)
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const taken = new Set<string>()
  for (const { title, type, description, targets = [], gridPos: { x, y, w, h } } of panels) {
    t.ok(x + w <= 24, title)
    const cells = Array.from({ length: w * h }, (_, at) => `${x + at % w},${y + Math.floor(at / w)}`)
    t.notOk(cells.some((cell) => taken.has(cell)), `${title} overlaps`)
    for (const cell of cells) taken.add(cell)
    if (type === 'row') continue
    t.match(description, /\w.*\.$/, title)
    t.ok(targets.length > 0 && targets.every(({ datasource }) => JSON.stringify(datasource).includes('${datasource}')), title) // eslint-disable-line no-template-curly-in-string
  }
})

t.test('the compose file starts the three services with files that exist', async (t) => {
  interface Service { image: string, command?: string, volumes: string[], ports: string[] }
  const { services } = parse(read('compose.yml')) as { services: Record<string, Service> }
  t.strictSame(Object.keys(services), ['demo', 'prometheus', 'grafana'])
  for (const { image, volumes, ports } of Object.values(services)) {
    t.match(image, /^[\w/]+:[\w.-]+$/)
    t.ok(ports.length > 0)
    for (const volume of volumes) t.ok(existsSync(join(folder, volume.split(':')[0]!)), volume)
  }
  const used = Object.values(services).flatMap(({ volumes }) => volumes.map((volume) => volume.split(':')[0]!.slice(2)))
  t.strictSame(used.sort(), readdirSync(folder).filter((name) => !['README.md', 'compose.yml', 'rules.test.yml'].includes(name)).sort())
  const [{ static_configs: [{ targets }] }] = (parse(read('prometheus.yml')) as { scrape_configs: [{ static_configs: [{ targets: string[] }] }] }).scrape_configs
  t.strictSame(targets, ['demo:3000'])
  t.match(parse(read('grafana-datasource.yml')), { datasources: [{ url: 'http://prometheus:9090' }] })
  t.match(parse(read('grafana-boards.yml')), { providers: [{ options: { path: '/dashboards' } }] })
})

interface Recorded { name: string, isFailed: boolean, durationMs: number }

/** Recorded requests, a second as a millisecond; without the recording, made-up ones. */
function readRecorded (count: number): Recorded[] {
  if ('skip' in trace) return Array.from({ length: count }, (_, i) => ({ name: `name ${i % 3}`, isFailed: i % 9 === 0, durationMs: 5 + i % 40 }))
  const [head, ...lines] = readFileSync(trace.path, 'utf8').split('\n').map((line) => line.split(','))
  const [name, status, seconds] = ['predict_type', 'predict_status', 'exec_time_seconds'].map((column) => head!.indexOf(column))
  const recorded = lines.map((line) => ({ name: line[name!]!, isFailed: line[status!] === 'FAILED', durationMs: Number(line[seconds!]) || 1 }))
  // Failed requests are rare in the recording.
  return [...recorded.slice(0, count / 2), ...recorded.filter(({ isFailed }) => isFailed).slice(0, count / 2)]
}

/** Plays recorded requests as missions of a service that Prometheus scrapes four times a second, with its own rules. */
async function playScraped (t: Test): Promise<PrometheusServer> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const app = await boot(t, { prometheus: { registry }, backplane: createMemoryBackplane(), health: { intervalMs: 1_000 } })
  app.monitoring.addHealthCheck({ name: 'database', critical: false, run: () => ({ status: 'degraded' }) })
  await ensureListening(app)
  const { port } = app.server.address() as { port: number }
  const client = await connect(app)
  client.send({ type: 'subscribe', channels: ['mission_update', 'metrics_tick'] })

  const files = t.testdir({ data: {} })
  const config = read('prometheus.yml').replace('demo:3000', `127.0.0.1:${port}`).replaceAll('_interval: 15s', '_interval: 250ms')
  writeFileSync(join(files, 'prometheus.yml'), config)
  writeFileSync(join(files, 'rules.yml'), read('rules.yml').replaceAll(/^ +for: .*\n/gm, ''))
  const server = await startPrometheus(t, join(files, 'prometheus.yml'), join(files, 'data'))

  // The first scrape comes before the work, so that rates see all of it.
  while ((await server.query('up')).length === 0) await sleep(250)
  for (const { name, isFailed, durationMs } of readRecorded(200)) {
    const work = app.missions.run(name, () => app.monitoring.time('database', 'query', async () => {
      await sleep(durationMs)
      if (isFailed) throw new Error('no memory left')
    })).catch(() => {})
    await Promise.race([work, sleep(15)])
  }
  return server
}

/** The query with the variables of the board, and with comparisons that return 0 or 1 instead of nothing. */
function toPlainQuery (expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m').replaceAll('"$job"', '".*"').replaceAll('"$instance"', '".*"')
    .replaceAll(/ (>=?|<=?|==|!=) /g, ' $1 bool ').replaceAll(/\[1h:1m\]/g, '[1h:1s]')
}

t.test('every query of the board and of the rules returns data from a service that plays a recorded trace', onlyWith(prometheus), async (t) => {
  const server = await playScraped(t)
  const samples = new Map<string, { metric: Record<string, string> }>()
  let missing = QUERIES
  // The last scrapes and evaluations may still be on their way. A scrape that a busy machine fails makes every series
  // stale for a moment, so what a query has once returned counts.
  for (let attempt = 0; attempt < 120 && missing.length > 0; attempt++) {
    const found = await Promise.all(missing.map(([, expr]) => server.query(toPlainQuery(expr))))
    for (const [at, [, expr]] of missing.entries()) {
      if (found[at]!.length > 0) samples.set(expr, found[at]![0]!)
    }
    missing = missing.filter((_, at) => found[at]!.length === 0)
    if (missing.length > 0) await sleep(250)
  }
  t.strictSame(missing, [])

  for (const { alert, expr, annotations } of alerts) {
    const sample = samples.get(expr)
    const named = [...annotations!.summary.matchAll(/\$labels\.(\w+)/g)].map((match) => match[1]!)
    t.strictSame(named.filter((name) => sample?.metric[name] === undefined), [], `${alert} has the labels of its summary`)
  }
})
