import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import * as errors from '../lib/base/errors.js'
import { readArguments } from '../lib/conformance/arguments.js'
import { CHECKS } from '../lib/conformance/checks/index.js'
import { main } from '../lib/conformance/main.js'
import { ALERT_RULES, SIGNAL_KINDS } from '../lib/monitoring/index.js'
import { compile } from '../lib/base/validation.js'
import {
  CHANNEL_NAMES, CLIENT_MESSAGES, CLOSE_CODES, HealthResponse, MISSION_STATUSES, PROTOCOL_ERRORS, SERVER_MESSAGES, SUBSCRIPTION_ERRORS, WsMetricsResponse
} from '../schemas/index.js'
import { ENVIRONMENT, Options } from '../schemas/options.js'
import { boot } from './support/app.js'
import { parseExposition } from './support/exposition-parser.js'
import { findPromtool, onlyWith, pathOf } from './support/skip.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const filesIn = (folder: string, ending: string): string[] => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith(ending)).map((path) => join(folder, path))

const PAGES = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...filesIn('docs', '.md')]
const pages = PAGES.map((path) => ({ path, text: read(path) }))
const readme = read('README.md')
const protocol = read('docs/protocol.md')
const operations = read('docs/operations.md')
const errorsPage = read('docs/errors.md')
const optionsPage = read('docs/options.md')
const metricsPage = read('docs/metrics.md')
const missionsPage = read('docs/missions.md')

const sorted = (values: Iterable<string>): string[] => [...new Set(values)].sort()
const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1]!)

/** Returns the text between a heading and the next one of its level or above. */
function under (heading: string, page: string): string {
  const [, marks] = /^(#+) /.exec(heading)!
  const [, after] = page.split(`\n${heading}\n`)
  if (after === undefined) throw new Error(`there is no heading ${heading}`)
  return after.split(new RegExp(`^#{1,${marks!.length}} `, 'm'))[0]!
}

/** Returns the generated text between `<!-- marker -->` and `<!-- /marker -->`. */
const between = (marker: string, page: string): string => page.split(`<!-- ${marker} -->`)[1]!.split(`<!-- /${marker} -->`)[0]!

/** Returns the cells of all table rows in a text, without backquotes around a cell that is code as a whole. */
function rows (text: string): string[][] {
  const cells = (line: string) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1'))
  const lines = text.split('\n')
  return lines.filter((line, at) => line.startsWith('|') && !isRule(line) && !isRule(lines[at + 1] ?? '')).map(cells)
}

const isRule = (line: string): boolean => /^\|[ |:-]+\|$/.test(line)
const column = (at: number, text: string): string[] => rows(text).map((row) => row[at]!)
const blocks = (language: string, text: string): string[] => matches(text, new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))

t.test('every error code has a table row and advice, and no page names a code that does not exist', async (t) => {
  const declared = Object.values(errors).map((FastifyError) => new (FastifyError as new () => { code: string })().code)
  const used = sorted(filesIn('lib', '.ts').flatMap((path) => matches(read(path), /(FST_MC_[A-Z]+(?:_[A-Z]+)*)/g)))
  t.ok(declared.length > 20)
  t.strictSame(sorted(column(0, between('error-codes', errorsPage))), sorted(declared))
  t.strictSame(sorted(matches(under('## What to do', errorsPage), /^- `(\w+)`/gm)), used)
  for (const { path, text } of pages) t.strictSame(matches(text, /(FST_MC_\w+)/g).filter((code) => !used.includes(code)), [], path)
})

t.test('the client page lists exactly the errors, options, causes and events of the source', async (t) => {
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
  const [states, causes] = source('types').split('export type StateCause')
  t.strictSame(sorted(column(0, under('## States and causes', page))), sorted(words(states!)))
  const shown = column(1, under('## States and causes', page)).flatMap((cell) => matches(cell, /`?(\w+)`?(?:,|$)/g)).filter((word) => !/close|code/.test(word) || word === 'closed')
  t.strictSame(sorted(shown), sorted(words(causes!.split('/**')[0]!)))
  t.strictSame(sorted(column(0, under('## Events', page)).filter((name) => name !== 'a channel')), sorted(matches(source('types').split('interface ClientEvents')[1]!, /^ {2}(\w+): /gm)))
})

t.test('the protocol page lists exactly the error codes and close codes of the source', async (t) => {
  t.strictSame(column(0, between('protocol-errors', protocol)), Object.keys(PROTOCOL_ERRORS))
  t.strictSame(column(0, between('subscription-errors', protocol)), Object.keys(SUBSCRIPTION_ERRORS))
  const closeCodes = rows(between('close-codes', protocol)).map(([code, reason]) => `${code} ${reason}`)
  t.strictSame(closeCodes, Object.entries(CLOSE_CODES).map(([reason, { code }]) => `${code} ${reason}`))
  const codes = [...Object.keys(PROTOCOL_ERRORS), ...Object.keys(SUBSCRIPTION_ERRORS)]
  const named = matches(under('## Replies', protocol), /`(?:protocol|subscription)_error` `(\w+)`/g)
  t.strictSame(sorted(named), sorted(codes.filter((code) => code !== 'rate_limited')), 'the replies name every code but that of the rate limit')
  t.strictSame(sorted(matches(under('## Limits', protocol), /closed with (\d+)/g).filter((code) => !Object.values(CLOSE_CODES).some((one) => String(one.code) === code))), [])
})

t.test('the tables list exactly the message types, channels, statuses and alert rules of the source', async (t) => {
  t.strictSame(sorted(column(0, under('## What a client sends', protocol))), sorted(Object.keys(CLIENT_MESSAGES)))
  t.strictSame(sorted(column(0, under('## What the server sends', protocol))), sorted(Object.keys(SERVER_MESSAGES)))
  t.strictSame(sorted(column(0, under('## Channels', protocol))), sorted(CHANNEL_NAMES))
  t.strictSame(sorted(column(0, under('## What you get', readme)).filter((name) => /^[a-z_]+$/.test(name))), sorted(CHANNEL_NAMES))
  t.strictSame(sorted(matches(under('## Payloads', protocol), /^### `(\w+)`$/gm)), sorted(CHANNEL_NAMES))
  t.strictSame(column(0, under('## Statuses', missionsPage)), [...MISSION_STATUSES])
  t.strictSame(sorted(column(0, under('## Alerts on the wire', operations).split('\n### ')[0]!)), alertRules())
  t.strictSame(column(0, under('## Unusual values', operations)).filter((name) => name.startsWith('adaptive_')), Object.keys(SIGNAL_KINDS))
  for (const rule of [...alertRules(), ...Object.keys(SIGNAL_KINDS)]) t.match(under('### `anomaly_alert`', protocol), `\`${rule}\``)
})

t.test('the page for people on call has an entry for each alert rule, with whom it wakes', async (t) => {
  const page = read('docs/oncall.md')
  const entries = page.split(/^### /m).slice(1).map((text) => [text.split('`')[1]!, text.replace(/\s+/g, ' ')] as const)
  const all = [...ALERT_RULES, ...Object.values(SIGNAL_KINDS)]
  t.strictSame(entries.map(([rule]) => rule), all.map(({ rule }) => rule), 'in the order of the table')
  for (const { rule, wakes } of all) {
    const text = new Map(entries).get(rule)!
    t.ok(text.includes(`**Wakes.** ${wakes}`), rule)
    for (const part of ['Means', 'Look at', 'Do', 'Tune']) t.match(text, new RegExp(`\\*\\*${part}\\.\\*\\* [A-Z\`].{20,}`), `${rule}: ${part}`)
  }
})

const alertRules = (): string[] => sorted(ALERT_RULES.map(({ rule }) => rule))

t.test('the metrics table lists exactly the names, types and labels of a real scrape', async (t) => {
  const app = await boot(t, { prometheus: { tenants: {}, missionNames: ['import'] }, backplane: createMemoryBackplane() } as object)
  app.missions.on('mission_update', () => { throw new Error('a listener of the host') })
  app.missions.start({ name: 'import' }).complete()
  app.monitoring.trackOperation({ component: 'imports', operation: 'read', status: 'success', durationMs: 5 })
  app.monitoring.reportHealth('healthy', { components: { database: { status: 'healthy', responseTimeMs: 5 } } })
  const page = parseExposition((await app.inject('/api/v1/metrics/prometheus')).body, 'text')
  const scraped = [...page.values()].map(({ name, type, samples }) => [name, type, labelNames(samples)].join(' | '))
  const table = rows(between('metrics', metricsPage)).map(([name, type, labels]) => [name, type, sorted(matches(labels!, /(\w+)/g)).join(', ')].join(' | '))
  t.ok(scraped.length > 20)
  // Alerts are exposed where the plugin evaluates rules.
  const alerts = table.filter((row) => row.startsWith('mission_control_alert'))
  t.strictSame(sorted(table), sorted([...scraped, ...alerts]))
  const known = [...page.keys(), ...alerts.map((row) => row.split(' ')[0]!)].flatMap((name) => [name, `${name}_bucket`, `${name}_count`])
  for (const { path, text } of pages) {
    const named = matches(text, /((?:oneagent_mission|mission_control)_\w+)/g).filter((name) => !name.endsWith('_'))
    t.strictSame(named.filter((name) => !known.includes(name)), [], path)
  }
})

function labelNames (samples: ReadonlyArray<{ labels: Record<string, string> }>): string {
  return sorted(samples.flatMap(({ labels }) => Object.keys(labels)).filter((name) => name !== 'le')).join(', ')
}

t.test('the conformance page lists exactly the checks, options and exit codes of the program', async (t) => {
  const page = read('docs/conformance.md')
  t.strictSame(rows(between('conformance-checks', page)), CHECKS.map(({ name, demands }) => [name, demands]))
  const { out: help } = await usage()
  t.strictSame(sorted(column(0, under('## Run it', page)).map((option) => option.split(' ')[0]!)), sorted(matches(help, /^ {2}(--[\w-]+)/gm)))
  t.strictSame(column(0, under('## Read the result', page)), matches(help, /(\d) when/g))
  for (const name of matches(under('## Read the result', page), /^(?:ok|not ok|skip) ([\w-]+)/gm)) t.ok(CHECKS.some((check) => check.name === name), name)
  const [command] = matches(under('## Run it', page), /^npx .* fastify-mission-control-conformance (.*)$/gm)
  const args = [...command!.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
  t.match(readArguments(args), { kind: 'run', options: { url: /^ws:/, start: /^\/mission / } })
})

/** Returns the help text of the conformance program. */
async function usage (): Promise<{ out: string }> {
  let out = ''
  await main(['--help'], { out: (text) => { out += text }, err: () => {} })
  return { out }
}

t.test('every message on the protocol page is valid against the schemas', async (t) => {
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

t.test('the quick start and the watcher in the README equal the tested files in examples/', async (t) => {
  const [quickStart, watcher] = blocks('js', under('## Quick start', readme))
  t.equal(quickStart, read('examples/quick-start.mjs'))
  t.equal(watcher, read('examples/watch.mjs'))
  t.ok(quickStart!.split('\n').length <= 16, 'about 15 lines')
})

t.test('every script on the pages is valid JavaScript', async (t) => {
  for (const { path, text } of pages) {
    for (const script of blocks('js', text)) {
      const { diagnostics } = ts.transpileModule(script, { reportDiagnostics: true, fileName: 'shown.mjs' })
      t.strictSame(diagnostics?.map(({ messageText }) => messageText), [], `${path}: ${script.split('\n')[0]}`)
    }
  }
})

t.test('the README lists every public method of the decorators, and no page names one that does not exist', async (t) => {
  const app = await boot(t)
  const members = ['missions', 'monitoring', 'missionControl'].flatMap((decorator) =>
    Object.keys(app[decorator as 'missions']).map((name) => `app.${decorator}.${name}`))
  const called = (text: string) => matches(text, /\b(app\.(?:missions|monitoring|missionControl)\.\w+)/g)
  t.strictSame(sorted(pages.flatMap(({ text }) => called(text))).filter((name) => !members.includes(name)), [])
  t.strictSame(sorted(called(under('## What you get', readme))), sorted(members))
})

t.test('every link leads to a file of the package, and to a heading where it names one', async (t) => {
  const packed = readPacked()
  for (const { path, text } of pages) {
    t.ok(packed.has(path), `${path} is in the package`)
    for (const link of matches(text, /\]\(([^)\s]+)\)/g).filter((link) => !/^https?:/.test(link))) {
      const [file, anchor] = link.split('#') as [string, string?]
      const target = file === '' ? path : join(dirname(path), file)
      t.ok(existsSync(join(root, target)), `${path}: ${link} exists`)
      t.ok(packed.has(target), `${path}: ${link} is in the package`)
      if (anchor !== undefined) t.ok(matches(read(target), /^#+ (.+)$/gm).map(slug).includes(anchor), `${path}: ${link} names a heading`)
    }
  }
})

/** The files of the package, as npm packs them. */
function readPacked (): Set<string> {
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' })
  const [{ files }] = JSON.parse(stdout) as [{ files: Array<{ path: string }> }]
  return new Set(files.map(({ path }) => path))
}

// As GitHub makes them.
const slug = (heading: string): string => heading.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')

t.test('the options page lists exactly the options and environment variables of the schema', async (t) => {
  const leaves = (schema: object, path: string[] = []): string[] => 'properties' in schema && !('expected' in schema)
    ? Object.entries(schema.properties as Record<string, object>).flatMap(([name, child]) => leaves(child, [...path, name]))
    : [path.join('.')]
  t.strictSame(sorted(column(0, between('options', optionsPage))), sorted(leaves(Options)))
  t.strictSame(sorted(matches(under('## Environment variables', optionsPage), /`(ONEAGENT_\w+)`/g)), sorted(Object.keys(ENVIRONMENT)))
})

t.test('the scaling page lists exactly the options, the keys and the Redis commands of the source', async (t) => {
  const page = read('docs/scaling.md')
  const [backplaneOptions, reporterOptions] = under('## Quick start', page).split('\n\n').filter((text) => text.startsWith('| Option of'))
  const members = (path: string, name: string): string[] => matches(read(path).split(`export interface ${name} {`)[1]!.split('\n}')[0]!, /^ {2}(\w+)\??: /gm)
  t.strictSame(column(0, backplaneOptions!), members('lib/backplane/redis/options.ts', 'RedisBackplaneOptions'))
  t.strictSame(sorted(column(0, reporterOptions!).flatMap((cell) => matches(cell, /(\w+)/g))), sorted(members('lib/reporter.ts', 'ReporterOptions')))

  const source = filesIn('lib/backplane/redis', '.ts').map(read).join('\n')
  const commands = [...matches(source, /\bp?call\('([A-Z]+)'/g), ...matches(source, /\.call\('([a-z]+)'/g)].map((name) => name.toLowerCase())
  const allowed = matches(/^ACL SETUSER .*$/m.exec(page)![0], /\+(\w+)/g)
  t.ok(commands.length > 30)
  t.strictSame(sorted(allowed), sorted([...commands, 'info']), 'the client itself sends info')

  const keys = matches(under('## Keys', page), /^\| `P` (.*?) \|/gm).flatMap((cell) => matches(cell, /`([a-z:]+)/g)).map((name) => name.replace(/:$/, ''))
  const used = [...matches(source, /PREFIX \.\. '([a-z:]+)'/g), ...matches(source, /#key\([`']([a-z:]+)/g), ...matches(source, /expire\('([a-z:]+)'/g)].map((name) => name.replace(/:$/, ''))
  t.strictSame(sorted(used).filter((name) => !keys.includes(name) && !['all', 'to'].includes(name)), [])
})

t.test('the README fits on one page', async (t) => {
  t.ok(readme.split('\n').length <= 220, `${readme.split('\n').length} lines`)
})

t.test('the glossary defines at most 45 terms, each once and in one sentence', async (t) => {
  const entries = rows(under('## Terms', read('docs/glossary.md')))
  t.ok(entries.length > 20 && entries.length <= 45, `${entries.length} terms`)
  t.equal(new Set(entries.map(([term]) => term)).size, entries.length)
  for (const [term, meaning] of entries) t.match(meaning, /^[A-Z`][^.;]*(?:\.\w[^.;]*)*\.$/, term!)
})

t.test('every name of code in the glossary is in the source', async (t) => {
  const source = ['lib', 'schemas'].flatMap((folder) => filesIn(folder, '.ts')).map(read).join('\n')
  for (const [term, , names] of rows(under('## Terms', read('docs/glossary.md')))) {
    for (const name of matches(names!, /`([^`]+)`/g)) for (const word of matches(name, /(\w+)/g)) t.match(source, new RegExp(`\\b${word}\\b`), `${term}: ${name}`)
  }
})

t.test('every file that the architecture page names exists', async (t) => {
  const page = read('docs/architecture.md')
  const named = sorted(matches(page, /`((?:lib|schemas|test|docs|bench|\.ci)\/[\w./-]*)`/g))
  t.ok(named.length > 40)
  for (const path of named.filter((path) => !path.includes('queue-depth'))) t.ok(existsSync(join(root, path)), path)
})

t.test('every constant that the architecture page names is in a file that its paragraph names', async (t) => {
  const paragraphs = read('docs/architecture.md').split(/\n(?=\d+\. |\n)/)
  const constants = paragraphs.flatMap((text) => matches(text, /`([A-Z]+(?:_[A-Z]+)*)`/g).map((name) => ({ text, name })))
  t.ok(constants.length >= 8)
  for (const { text, name } of constants) {
    const files = matches(text, /`((?:lib|schemas)\/[\w./-]+\.ts)`/g)
    t.ok(files.some((path) => existsSync(join(root, path)) && new RegExp(`\\b${name}\\b`).test(read(path))), name)
  }
})

/** Words that the project used before it took those of the field. */
const FORMER_WORDS = /\b(convoys?|travell?ers?|riders?|hand-over|knocks?|told of|goodbye|lanes?|whoever|newcomers?|must arrive|the same \|)(?!\w)|\| (?:The )?[Ss]ame\b/i

t.test('the pages use the terms of the glossary, and every table row stands alone', async (t) => {
  for (const { path, text } of pages) {
    text.split('\n').forEach((line, at) => t.notMatch(line, FORMER_WORDS, `${path}:${at + 1}`))
  }
})

t.test('every npm script and shell script that a page names exists', async (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const named = sorted(pages.flatMap(({ text }) => matches(text, /\bnpm (?:run )?((?<=run )[\w:-]+|test)\b/g)))
  t.ok(named.includes('demo') && named.includes('test'))
  t.strictSame(named.filter((name) => scripts[name] === undefined), [])
  for (const file of pages.flatMap(({ text }) => matches(text, /\bbash (\S+?)`/g))) t.ok(existsSync(join(root, file)), file)
})

t.test('the contributing page gives a reason for every dependency, and for no other package', async (t) => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<'dependencies' | 'devDependencies', Record<string, string>>
  const listed = column(0, under('## Dependencies', read('CONTRIBUTING.md')))
  t.strictSame(sorted(listed), sorted([...Object.keys(dependencies), ...Object.keys(devDependencies)]))
})

const promtool = findPromtool()

t.test('promtool accepts the scrape configuration', onlyWith(promtool), async (t) => {
  const folder = t.testdir()
  const check = (kind: string, text: string) => {
    const file = join(folder, `${kind}.yml`)
    writeFileSync(file, text)
    const { status, stdout, stderr } = spawnSync(pathOf(promtool), ['check', kind, file], { encoding: 'utf8' })
    t.equal(status, 0, stdout + stderr)
  }
  check('config', blocks('yaml', under('## Scrape', metricsPage))[0]!)
})
