import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'
import * as errors from '../lib/base/errors.js'
import { readArguments } from '../lib/conformance/arguments.js'
import { CHECKS } from '../lib/conformance/checks/index.js'
import { main } from '../lib/conformance/main.js'
import { evaluateRules } from '../lib/monitoring/index.js'
import { compile } from '../lib/base/validation.js'
import { CHANNEL_NAMES, CLIENT_MESSAGES, CLOSE_CODES, HealthResponse, MISSION_STATUSES, PROTOCOL_ERRORS, SERVER_MESSAGES, SUBSCRIPTION_ERRORS, WsMetricsResponse } from '../schemas/index.js'
import { ENVIRONMENT } from '../schemas/options.js'
import { boot } from './support/app.js'
import { parseExposition } from './support/exposition-parser.js'
import { findPromtool, onlyWith, pathOf } from './support/skip.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const filesIn = (folder: string, ending: string): string[] => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith(ending)).map((path) => join(folder, path))

const PAGES = ['README.md', 'CHANGELOG.md', ...filesIn('docs', '.md')]
const pages = PAGES.map((path) => ({ path, text: read(path) }))
const readme = read('README.md')
const protocol = read('docs/protocol.md')
const operations = read('docs/operations.md')
const errorsPage = read('docs/errors.md')

const sorted = (values: Iterable<string>): string[] => [...new Set(values)].sort()
const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1]!)

/** What stands between a heading and the next one of its level or above. */
function under (heading: string, page: string): string {
  const [, marks] = /^(#+) /.exec(heading)!
  const [, after] = page.split(`\n${heading}\n`)
  if (after === undefined) throw new Error(`there is no heading ${heading}`)
  return after.split(new RegExp(`^#{1,${marks!.length}} `, 'm'))[0]!
}

/** What the tools write between `<!-- marker -->` and `<!-- /marker -->`. */
const between = (marker: string, page: string): string => page.split(`<!-- ${marker} -->`)[1]!.split(`<!-- /${marker} -->`)[0]!

/** The cells of all rows of the tables in a text, without the backquotes of a cell that is code as a whole. */
function rows (text: string): string[][] {
  const cells = (line: string) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1'))
  const lines = text.split('\n')
  return lines.filter((line, at) => line.startsWith('|') && !isRule(line) && !isRule(lines[at + 1] ?? '')).map(cells)
}

const isRule = (line: string): boolean => /^\|[ |:-]+\|$/.test(line)
const column = (at: number, text: string): string[] => rows(text).map((row) => row[at]!)
const blocks = (language: string, text: string): string[] => matches(text, new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))

t.test('every error code has a row and an advice, and no page names a code that is gone', async (t) => {
  const declared = Object.values(errors).map((FastifyError) => new (FastifyError as new () => { code: string })().code)
  const used = sorted(filesIn('lib', '.ts').flatMap((path) => matches(read(path), /(FST_MC_[A-Z]+(?:_[A-Z]+)*)/g)))
  t.ok(declared.length > 20)
  t.strictSame(sorted(column(0, between('error-codes', errorsPage))), sorted(declared))
  t.strictSame(sorted(matches(under('## What to do', errorsPage), /^- `(\w+)`/gm)), used)
  for (const { path, text } of pages) t.strictSame(matches(text, /(FST_MC_\w+)/g).filter((code) => !used.includes(code)), [], path)
})

t.test('the client page has every error, option, cause and event of the source, and no others', async (t) => {
  const page = read('docs/client.md')
  const source = (name: string): string => read(`lib/client/${name}.ts`)
  const words = (text: string): string[] => matches(text, /'(\w+)'/g)
  const codes = words(source('errors').split('export type ClientErrorCode')[0]!).map((name) => `MC_CLIENT_${name}`)
  t.ok(codes.length > 10)
  t.strictSame(sorted(column(0, under('## Errors', page))), sorted(codes))
  const thrown = filesIn('lib/client', '.ts').flatMap((path) => matches(read(path), /(?:new ClientError|stop)\((?:wasSeen \? 'LOST' : )?'(\w+)'/g))
  t.strictSame(sorted([...thrown, 'LOST'].map((name) => `MC_CLIENT_${name}`)), sorted(codes))
  for (const { path, text } of pages) t.strictSame(matches(text, /(MC_CLIENT_\w+)/g).filter((code) => !codes.includes(code)), [], path)
  const options = words(source('options').split('const NAMES')[1]!.split('\n}')[0]!)
  t.strictSame(sorted(column(0, under('## Options', page)).flatMap((cell) => matches(cell, /(\w+)/g))), sorted(options))
  const [states, causes] = source('events').split('export type StateCause')
  t.strictSame(sorted(column(0, under('## States and causes', page))), sorted(words(states!)))
  const shown = column(1, under('## States and causes', page)).flatMap((cell) => matches(cell, /`?(\w+)`?(?:,|$)/g)).filter((word) => !/close|code/.test(word) || word === 'closed')
  t.strictSame(sorted(shown), sorted(words(causes!.split('/**')[0]!)))
  t.strictSame(sorted(column(0, under('## What it tells', page)).filter((name) => name !== 'a channel')), sorted(matches(source('events').split('interface ClientEvents')[1]!, /^ {2}(\w+): /gm)))
})

t.test('the protocol page has exactly the error codes and close codes of the source', async (t) => {
  t.strictSame(column(0, between('protocol-errors', protocol)), Object.keys(PROTOCOL_ERRORS))
  t.strictSame(column(0, between('subscription-errors', protocol)), Object.keys(SUBSCRIPTION_ERRORS))
  const closeCodes = rows(between('close-codes', protocol)).map(([code, reason]) => `${code} ${reason}`)
  t.strictSame(closeCodes, Object.entries(CLOSE_CODES).map(([reason, { code }]) => `${code} ${reason}`))
  const codes = [...Object.keys(PROTOCOL_ERRORS), ...Object.keys(SUBSCRIPTION_ERRORS)]
  const named = matches(under('## Replies', protocol), /`(?:protocol|subscription)_error` `(\w+)`/g)
  t.strictSame(sorted(named), sorted(codes.filter((code) => code !== 'rate_limited')), 'the replies name them all; a limit is no reply')
  t.strictSame(sorted(matches(under('## Limits', protocol), /closed with (\d+)/g).filter((code) => !Object.values(CLOSE_CODES).some((one) => String(one.code) === code))), [])
})

t.test('the tables have every message type, channel, status, alert rule and variable, and no others', async (t) => {
  t.strictSame(sorted(column(0, under('## What a client sends', protocol))), sorted(Object.keys(CLIENT_MESSAGES)))
  t.strictSame(sorted(column(0, under('## What the server sends', protocol))), sorted(Object.keys(SERVER_MESSAGES)))
  t.strictSame(sorted(column(0, under('## Channels', protocol))), sorted(CHANNEL_NAMES))
  t.strictSame(sorted(column(0, under('## What you get', readme)).filter((name) => /^[a-z_]+$/.test(name))), sorted(CHANNEL_NAMES))
  t.strictSame(sorted(matches(under('## Payloads', protocol), /^### `(\w+)`$/gm)), sorted(CHANNEL_NAMES))
  t.strictSame(column(0, under('## Report missions', readme)), [...MISSION_STATUSES])
  t.strictSame(sorted(column(0, under('## Alerts on the wire', operations))), alertRules())
  for (const rule of alertRules()) t.match(under('### `anomaly_alert`', protocol), `\`${rule}\``)
  t.strictSame(sorted(matches(under('## Options', readme).split('<!-- /options -->')[1]!, /`([A-Z_]+)`/g)), sorted(Object.keys(ENVIRONMENT)))
})

/** The rules that find something when everything is wrong. */
function alertRules (): string[] {
  const component = { status: 'unhealthy' as const, critical: true, responseTimeMs: 1_001, error: null, checkedAt: 0 }
  const totals = { active: 26, completed: 0, cancelled: 0, errors: 5, total: 31, avgDurationMs: 1, stalled: 0, lateOutcomes: 0, refused: 0 }
  return sorted(evaluateRules({ totals, health: { status: 'critical', checkedAt: 0, components: { database: component } } }).map(({ rule }) => rule))
}

t.test('the metrics table has the name, type and labels of every metric of a real scrape, and no others', async (t) => {
  const app = await boot(t)
  app.missions.on('mission_update', () => { throw new Error('a listener of the host') })
  app.missions.start({ name: 'import' }).complete()
  app.monitoring.trackOperation({ component: 'imports', operation: 'read', status: 'success', durationMs: 5 })
  app.monitoring.reportHealth('healthy', { components: { database: { status: 'healthy' } } })
  const page = parseExposition((await app.inject('/api/v1/metrics/prometheus')).body, 'text')
  const scraped = [...page.values()].map(({ name, type, samples }) => [name, type, labelNames(samples)].join(' | '))
  const table = rows(under('## Metrics', operations)).map(([name, type, labels]) => [name, type, sorted(matches(labels!, /(\w+)/g)).join(', ')].join(' | '))
  t.ok(scraped.length > 20)
  t.strictSame(sorted(table), sorted(scraped))
  const known = [...page.keys()].flatMap((name) => [name, `${name}_bucket`])
  for (const { path, text } of pages) {
    const named = matches(text, /((?:oneagent_mission|mission_control)_\w+)/g).filter((name) => !name.endsWith('_'))
    t.strictSame(named.filter((name) => !known.includes(name)), [], path)
  }
})

function labelNames (samples: ReadonlyArray<{ labels: Record<string, string> }>): string {
  return sorted(samples.flatMap(({ labels }) => Object.keys(labels)).filter((name) => name !== 'le')).join(', ')
}

t.test('the conformance page has every check with what it demands, every option and every exit code, and no others', async (t) => {
  const page = read('docs/conformance.md')
  t.strictSame(rows(between('conformance-checks', page)), CHECKS.map(({ name, demands }) => [name, demands]))
  const { out: help } = await usage()
  t.strictSame(sorted(column(0, under('## Run it', page)).map((option) => option.split(' ')[0]!)), sorted(matches(help, /^ {2}(--[\w-]+)/gm)))
  t.strictSame(column(0, under('## Read the result', page)), matches(help, /(\d) when/g))
  for (const name of matches(under('## Read the result', page), /^(?:ok|not ok|skip) ([\w-]+)/gm)) t.ok(CHECKS.some((check) => check.name === name), name)
  const [command] = matches(under('## Run it', page), /^npx .* fastify-mission-control-conformance (.*)$/gm)
  const args = [...command!.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
  t.match(readArguments(args), { kind: 'run', settings: { url: /^ws:/, start: /^\/mission / } })
})

/** What the conformance program prints when it is asked for help. */
async function usage (): Promise<{ out: string }> {
  let out = ''
  await main(['--help'], { out: (text) => { out += text }, err: () => {} })
  return { out }
}

t.test('every message shown is one that the schemas accept', async (t) => {
  const schemas = { ...CLIENT_MESSAGES, ...SERVER_MESSAGES }
  const shown = blocks('json', protocol).map((text) => JSON.parse(text) as { type?: string, status?: string })
  t.ok(shown.length > 15)
  for (const message of shown) {
    const isServers = 'protocolVersion' in message || message.type === undefined
    const schema = message.type === undefined ? (message.status === undefined ? WsMetricsResponse : HealthResponse) : schemas[message.type as keyof typeof schemas]
    const validate = compile(message.type === 'whoami' && isServers ? SERVER_MESSAGES.whoami : schema)
    t.ok(validate(message), JSON.stringify([message, validate.errors]))
  }
})

t.test('the quick start and the watcher in the README are the files in examples/', async (t) => {
  const [quickStart, watcher] = blocks('js', under('## Quick start', readme))
  t.equal(quickStart, read('examples/quick-start.mjs'))
  t.equal(watcher, read('examples/watch.mjs'))
  t.ok(quickStart!.split('\n').length <= 16, 'about 15 lines')
})

t.test('every script shown is valid JavaScript', async (t) => {
  for (const { path, text } of pages) {
    for (const script of blocks('js', text)) {
      const { diagnostics } = ts.transpileModule(script, { reportDiagnostics: true, fileName: 'shown.mjs' })
      t.strictSame(diagnostics?.map(({ messageText }) => messageText), [], `${path}: ${script.split('\n')[0]}`)
    }
  }
})

t.test('the pages name every public method of the decorators, and none that does not exist', async (t) => {
  const app = await boot(t)
  const named = sorted(pages.flatMap(({ text }) => matches(text, /\bapp\.((?:missions|monitoring|missionControl)\.\w+)/g)))
  const table = under('## What you get', readme)
  const onMonitoring = matches(table, /`\.(\w+)\(\)`/g).map((name) => `monitoring.${name}`)
  const notForHosts = ['commands', 'close', 'start', 'constructor', 'shutdown', 'listVisible', 'told']
  const exist = ['missions', 'monitoring', 'missionControl'].flatMap((decorator) => {
    const service = app[decorator as 'missions'] as object
    const proto = Object.getPrototypeOf(service) as object
    return [...Object.keys(service), ...(proto === Object.prototype ? [] : Object.getOwnPropertyNames(proto))].map((name) => `${decorator}.${name}`)
  })
  t.strictSame(sorted([...named, ...onMonitoring]).filter((name) => !exist.includes(name)), [], 'all that is named exists')
  const forHosts = exist.filter((name) => name === 'missions.start' || !notForHosts.includes(name.split('.')[1]!))
  t.strictSame(forHosts.filter((name) => !table.includes(`app.${name}`) && !onMonitoring.includes(name)), [], 'all that exists is in the table')
})

t.test('every relative link leads to a file, and to a heading where it names one', async (t) => {
  for (const { path, text } of pages) {
    for (const link of matches(text, /\]\(([^)\s]+)\)/g).filter((link) => !/^https?:/.test(link))) {
      const [file, anchor] = link.split('#') as [string, string?]
      const target = file === '' ? path : join(dirname(path), file)
      t.ok(existsSync(join(root, target)), `${path}: ${link}`)
      if (anchor !== undefined) t.ok(matches(read(target), /^#+ (.+)$/gm).map(slug).includes(anchor), `${path}: ${link}`)
    }
  }
})

// As GitHub makes them.
const slug = (heading: string): string => heading.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')

t.test('every npm script and file of commands that a page names is there', async (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const named = sorted(pages.flatMap(({ text }) => matches(text, /\bnpm (?:run )?((?<=run )[\w:-]+|test)\b/g)))
  t.ok(named.includes('demo') && named.includes('test'))
  t.strictSame(named.filter((name) => scripts[name] === undefined), [])
  for (const file of pages.flatMap(({ text }) => matches(text, /\bbash (\S+?)`/g))) t.ok(existsSync(join(root, file)), file)
})

t.test('the changelog gives a reason for every dependency, and for none that is not there', async (t) => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<'dependencies' | 'devDependencies', Record<string, string>>
  const internal = under('### Internal', read('CHANGELOG.md'))
  t.strictSame(sorted(column(0, internal)), sorted(Object.keys(devDependencies)))
  for (const name of Object.keys(dependencies)) t.match(internal.split('|')[0], `\`${name}\``)
})

const promtool = findPromtool()

t.test('promtool accepts the alert rules and the scrape configuration', onlyWith(promtool), async (t) => {
  const folder = t.testdir()
  const check = (kind: string, text: string) => {
    const file = join(folder, `${kind}.yml`)
    writeFileSync(file, text)
    const { status, stdout, stderr } = spawnSync(pathOf(promtool), ['check', kind, file], { encoding: 'utf8' })
    t.equal(status, 0, stdout + stderr)
  }
  check('rules', blocks('yaml', under('## What should I alert on?', operations))[0]!)
  check('config', blocks('yaml', under('## Prometheus', readme))[0]!)
})
