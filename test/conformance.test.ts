import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { show } from '../lib/conformance/outcome.js'
import { CHECKS } from '../lib/conformance/checks/index.js'
import type { ConformanceOptions } from '../lib/conformance/context.js'
import { main } from '../lib/conformance/main.js'
import { runConformance } from '../lib/conformance/run.js'
import type { MissionControlOptions } from '../lib/index.js'
import { boot } from './support/app.js'
import { BREAKS, UNJUDGED } from './support/breaks.js'
import { breakServer, type Break } from './support/broken-server.js'
import { urlOf } from './support/client.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
/** For a correct server, however busy the machine is. */
const TIMEOUT_MS = 5_000
/** For a broken server, of which some answers never arrive. */
const SHORT_MS = 400
const START = 'import 3 files'

let connections = 0

/** The checks start more missions than one user may. */
const access: MissionControlOptions['access'] = { identify: () => ({ id: `user of connection ${++connections}` }) }

const OPTIONS: MissionControlOptions = {
  access,
  server: { name: 'subject', version: '1.0.0' },
  websocket: { heartbeatMs: 100 },
  channels: { missionStatsMs: 50 }
}

/** Starts a correct server whose missions take a few ticks. Returns its address. */
async function serve (t: Test, { supportsCommands = true, options = OPTIONS }: { supportsCommands?: boolean, options?: MissionControlOptions } = {}): Promise<string> {
  const app = await boot(t, options)
  if (supportsCommands) app.missions.handle({ start: { start: () => app.missions.spawn('import', work) }, cancel: {} })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return urlOf(app)
}

const work = async (mission: { task (id: string, work: () => Promise<void>): Promise<void> }): Promise<void> => {
  for (const file of ['a', 'b', 'c']) await mission.task(file, async () => { await new Promise((resolve) => setTimeout(resolve, 10)) })
}

const optionsFor = (url: string, more: Partial<ConformanceOptions> = {}): ConformanceOptions =>
  ({ url, timeoutMs: TIMEOUT_MS, start: START, heartbeatMs: TIMEOUT_MS, ...more })

/** Runs the program and returns its output. */
async function run (...args: string[]): Promise<{ code: number, out: string, err: string }> {
  const written = { out: '', err: '' }
  const code = await main(args, { out: (text) => { written.out += text }, err: (text) => { written.err += text } })
  return { code, ...written }
}

t.test('this plugin conforms to the protocol: every check passes and none is skipped', async (t) => {
  const url = await serve(t)
  t.strictSame((await runConformance(optionsFor(url))).filter(({ status }) => status !== 'ok'), [])
  const heartbeatsEverywhere: Break = { fromServer: (message, { make }) => [make('heartbeat', {}), message, make('heartbeat', {})] }
  for (const [what, how] of [['forwards everything', {}], ['adds heartbeats everywhere', heartbeatsEverywhere]] as const) {
    await t.test(`behind a proxy that ${what} too`, async (t) => {
      const results = await runConformance(optionsFor(await breakServer(t, url, how)))
      t.strictSame(results.filter(({ name, status }) => status !== 'ok' && !(how === heartbeatsEverywhere && name === 'heartbeat-heads')), [])
    })
  }
})

t.test('a server that takes new tokens, or limits what its clients may subscribe to, fails no check of that', async (t) => {
  const app = await boot(t, {
    ...OPTIONS,
    access: { identify: () => ({ id: 'ann', tenant: 'acme' }), refresh: () => null }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const results = await runConformance(optionsFor(urlOf(app)), { only: ['whoami', 'whoami-channels', 'auth-refresh'] })
  t.strictSame(results.map(({ name, status }) => [name, status]), [['whoami', 'ok'], ['whoami-channels', 'ok'], ['auth-refresh', 'ok']])
})

t.test('without a start command, or without support for one, the checks that need missions are skipped and the rest pass', async (t) => {
  const NEED_MISSIONS = ['snapshot-checksum', 'snapshot-flag', 'resume-missed', 'start-ack', 'start-again', 'mission-get', 'mission-cancel', 'filter-ids', 'filter-statuses',
    'positions-contiguous', 'mission-order', 'mission-one-ending']
  const skipped = async (of: ConformanceOptions) => {
    const results = await runConformance(of)
    t.strictSame(results.filter(({ status }) => status === 'not ok'), [])
    return results.flatMap((result) => result.status === 'skip' ? result.name : [])
  }
  t.strictSame(await skipped(optionsFor(await serve(t), { start: undefined })), ['start-unsupported', ...NEED_MISSIONS])
  t.strictSame(await skipped(optionsFor(await serve(t, { supportsCommands: false }))), NEED_MISSIONS)
})

t.test('every broken server fails the check for its defect', async (t) => {
  const url = await serve(t)
  for (const [what, name, how] of BREAKS) {
    await t.test(`${name}: a server that ${what}`, async (t) => {
      // A busy machine needs longer to send 16 MiB.
      const timeoutMs = name === 'large-message' ? TIMEOUT_MS : SHORT_MS
      const options = optionsFor(await breakServer(t, url, how), { timeoutMs, heartbeatMs: SHORT_MS })
      const [result] = await runConformance(options, { only: [name] })
      t.match(result, { name, status: 'not ok', expected: /./, got: /./ })
      if (result?.status === 'not ok') t.comment(`expected ${result.expected}; got ${result.got}`)
    })
  }
  t.strictSame(CHECKS.map(({ name }) => name).filter((name) => !BREAKS.some(([, by]) => by === name)), [], 'every check fails for at least one broken server')
})

t.test('a check that does not apply is skipped, with the reason', async (t) => {
  const url = await serve(t)
  for (const [what, name, how, reason] of UNJUDGED) {
    t.match(await runConformance(optionsFor(await breakServer(t, url, how)), { only: [name] }), [{ name, status: 'skip', reason }], what)
  }
  const quiet = await serve(t, { supportsCommands: false, options: {} })
  const impatient = optionsFor(quiet, { heartbeatMs: undefined, timeoutMs: 50 })
  t.match(await runConformance(impatient, { only: ['heartbeat', 'subscribe-again'] }), [
    { status: 'skip', reason: /no mission_stats within 50 ms/ }, { status: 'skip', reason: /no heartbeat within 50 ms/ }
  ])
})

t.test('a mission that runs again in another attempt fails no check', async (t) => {
  const app = await boot(t, OPTIONS)
  app.missions.on('mission_ended', (mission) => { if (mission.attempt === 1 && mission.status === 'completed') mission.retry().complete() })
  app.missions.handle({ start: { start: () => app.missions.spawn('import', work) }, cancel: {} })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const results = await runConformance(optionsFor(urlOf(app)))
  t.strictSame(results.filter(({ status }) => status !== 'ok'), [])
  t.ok(app.missions.views().some(({ attempt }) => attempt === 2), 'there were second attempts')
})

t.test('a server that limits the starts of all connections together fails no check', async (t) => {
  const app = await boot(t, { ...OPTIONS, access: undefined })
  app.missions.handle({ start: { start: () => app.missions.spawn('import', work) }, cancel: {} })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const results = await runConformance(optionsFor(urlOf(app)))
  const skipped = results.filter(({ status }) => status !== 'ok')
  t.ok(skipped.length > 0)
  for (const result of skipped) t.match(result, { status: 'skip', reason: /limits starts/ }, result.name)
})

t.test('a mission that ends at once fails no check', async (t) => {
  const app = await boot(t, OPTIONS)
  app.missions.handle({ start: { start: () => app.missions.spawn('import', async () => {}) }, cancel: {} })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const results = await runConformance(optionsFor(urlOf(app)))
  t.match(results.filter(({ status }) => status !== 'ok'), [{ name: 'snapshot-flag', status: 'skip', reason: /had ended before the snapshot/ }])
  t.equal(results.length, CHECKS.length)
})

t.test('the heartbeat check does not wait for a heartbeat that is not due, and fails if the server closes instead', async (t) => {
  const url = await serve(t, { options: { access, websocket: { heartbeatMs: 300 } } })
  const slow: Break = { fromServer: (message) => [message['type'] === 'heartbeat' ? { ...message, intervalMs: 30_000 } : message] }
  t.match(await runConformance(optionsFor(await breakServer(t, url, slow)), { only: ['heartbeat'] }), [{ status: 'ok' }])
  const closes: Break = { fromServer: (message, connection) => { if (message['type'] === 'heartbeat') connection.close(1011) } }
  t.match(await runConformance(optionsFor(await breakServer(t, url, closes), { heartbeatMs: undefined }), { only: ['heartbeat'] }), [{ status: 'not ok', got: 'a close with code 1011 ""' }])
})

t.test('ids are examined even if the client may not subscribe', async (t) => {
  const [, , denies] = UNJUDGED.find(([what]) => what === 'denies subscriptions')!
  const options = optionsFor(await breakServer(t, await serve(t), denies), { start: undefined })
  t.match(await runConformance(options, { only: ['envelope-ids'] }), [{ name: 'envelope-ids', status: 'ok' }])
})

t.test('omitting optional fields is no failure', async (t) => {
  const terse: Break = {
    fromServer: (message) => {
      delete message['error']?.detail
      delete message['intervalMs']
      return [message]
    }
  }
  t.match(await runConformance(optionsFor(await breakServer(t, await serve(t), terse)), { only: ['detail-bounds', 'heartbeat'] }), [{ status: 'ok' }, { status: 'ok' }])
})

t.test('a server may answer text that is not UTF-8 instead of closing', async (t) => {
  const survives: Break = {
    server: { skipUTF8Validation: true },
    fromClient: ({ text }) => text.includes('\ufffd') ? 'not JSON' : undefined,
    fromServer: (message, { make }) => [make('heartbeat', {}), message]
  }
  t.match(await runConformance(optionsFor(await breakServer(t, await serve(t), survives)), { only: ['invalid-utf8'] }), [{ status: 'ok' }])
})

t.test('a failure shows what arrived instead of the answer, JSON or not', async (t) => {
  const says = async (...instead: string[]) => {
    const how: Break = { fromServer: ({ type }) => type === 'pong' ? instead : [] }
    return await runConformance(optionsFor(await breakServer(t, await serve(t), how), { timeoutMs: 100 }), { only: ['reply-to'] })
  }
  t.match(await says(), [{ got: 'nothing' }])
  t.match(await says('{"type":"a"}', 'hello'), [{ got: '2 other frames, the last one "hello"' }])
  t.match(await says('hello', '{"type":"a"}'), [{ got: '2 other frames, the last one {"type":"a"}' }])
})

t.test('message types and fields of a newer protocol are no failure', async (t) => {
  const newer: Break = { fromServer: (message, connection) => message['type'] === 'whoami' ? [connection.make('weather', { payload: {} }), { ...message, later: 1 }] : [message] }
  t.match(await runConformance(optionsFor(await breakServer(t, await serve(t), newer)), { only: ['envelope-schema'] }), [{ status: 'ok' }])
})

t.test('positions start anew after a gap', async (t) => {
  const gap: Break = {
    fromServer (message, { own, make }) {
      if (!message['position']) return undefined
      own['shift'] ??= 100
      const isFirst = own['last'] === undefined
      own['last'] = message['position'].offset += own['shift']
      const { epoch } = message['position']
      const asOf = { epoch, offset: own['last'] - 1, id: 'a' }
      return isFirst ? [make('subscription_gap', { payload: { channel: message['type'], cause: 'trimmed', asOf, messages: 0 } }), message] : [message]
    }
  }
  t.match(await runConformance(optionsFor(await breakServer(t, await serve(t), gap)), { only: ['positions-contiguous'] }), [{ status: 'ok' }])
})

t.test('a connection that is refused during the run fails only the check that needed it', async (t) => {
  let connections = 0
  const how: Break = { server: { verifyClient: () => ++connections !== 2 } }
  const results = await runConformance(optionsFor(await breakServer(t, await serve(t), how)), { only: ['ping-pong', 'reply-order'] })
  t.match(results, [{ name: 'ping-pong', status: 'not ok', expected: 'a usable connection to the server', got: /401/ }, { name: 'reply-order', status: 'ok' }])
})

t.test('values of the server are shown in one line, truncated, without control characters', async (t) => {
  t.equal(show('a\n\u001b[2J\u009b2J\u2028'), '"a\\n\\u001b[2J?2J?"')
  t.equal(show(undefined), 'nothing')
  t.match(show('a'.repeat(1_000)), /^"a{399}… \(1002 characters\)$/)
})

t.test('the program', async (t) => {
  const url = await serve(t)

  t.test('prints one line per check and exits with 0 when none failed', async (t) => {
    const { code, out, err } = await run('--only', 'ping-pong', '--only', 'start-ack', url)
    t.equal(code, 0)
    t.equal(out, 'ok ping-pong\nskip start-ack: needs a command that starts a mission (--start)\n1 passed, 0 failed, 1 skipped\n')
    t.equal(err, '')
  })

  t.test('exits with 1 when a check failed, and prints what was expected and what arrived', async (t) => {
    const broken = await breakServer(t, url, BREAKS[0]![2])
    const { code, out } = await run('--timeout-ms', '100', '--only', 'reply-to', broken)
    t.equal(code, 1)
    t.match(out, /^not ok reply-to: expected a reply with replyTo "ask-2-\w{8}" to \{"type":"whoami"\} within 100 ms; got \d other frames, the last one \{.*\n0 passed, 1 failed, 0 skipped\n$/)
  })

  t.test('prints JSON on request', async (t) => {
    const { code, out } = await run('--json', '--start', START, '--heartbeat', '400', '--only', 'start-ack', '--only', 'heartbeat', url)
    t.equal(code, 0)
    t.match(JSON.parse(out), { url, passed: 2, failed: 0, skipped: 0, results: [{ name: 'heartbeat', status: 'ok', ms: Number }, { name: 'start-ack', status: 'ok' }] })
  })

  t.test('sends a token and headers with the upgrade request', async (t) => {
    const seen: unknown[] = []
    const app = await boot(t, { onRequest: async ({ headers }) => { seen.push([headers.authorization, headers['x-tenant'], headers['x-time']]) } })
    await app.listen({ port: 0, host: '127.0.0.1' })
    t.match(await run('--token', 'secret', '--header', 'x-tenant: a', '--header', 'x-time:10:20', '--only', 'ping-pong', urlOf(app)), { code: 0 })
    t.strictSame(seen[0], ['Bearer secret', 'a', '10:20'])
  })

  t.test('exits with 2 and the reason when it cannot connect', async (t) => {
    const closed = createServer()
    closed.listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    closed.close()
    await once(closed, 'close')
    t.match(await run(`ws://127.0.0.1:${port}/ws`), { code: 2, out: '', err: `no connection to ws://127.0.0.1:${port}/ws: ECONNREFUSED\n` })
    t.match(await run(url.replace('mission-control', 'nothing')), { code: 2, err: /: Unexpected server response: 404\n$/ })
  })

  t.test('exits with 2 and prints its usage when an argument is invalid', async (t) => {
    const cases: Array<[RegExp, ...string[]]> = [
      [/^the address of the server is missing/],
      [/^expected one address, got another one: ws:\/\/b/, 'ws://a', 'ws://b'],
      [/^http:\/\/a is not a ws:/, 'http://a'],
      [/^nonsense is not a ws:/, 'nonsense'],
      [/Unknown option '--no'/, '--no', url],
      [/^--timeout-ms is 0; expected a whole number of ms from 1 to 2147483647/, '--timeout-ms', '0', url],
      [/^--heartbeat is 1e3/, '--heartbeat', '1e3', url],
      [/^--timeout-ms is 9999999999/, '--timeout-ms', '9999999999', url],
      [/^nothing is not a header/, '--header', 'nothing', url],
      [/^unknown check everything; --list prints all names/, '--only', 'everything', url]
    ]
    for (const [problem, ...args] of cases) t.match(await run(...args), { code: 2, out: '', err: problem }, args.join(' '))
    t.match(await run(), { err: /\n\nUsage: fastify-mission-control-conformance \[options\] ws:/ })
  })

  t.test('prints its help and the list of checks', async (t) => {
    t.match(await run('--help'), { code: 0, out: /^Usage: / })
    const { code, out } = await run('--list')
    t.equal(code, 0)
    t.strictSame(out.trim().split('\n').map((line) => line.split(': ')[0]), CHECKS.map(({ name }) => name))
  })

  t.test('runs as the bin of the built package', async (t) => {
    const { bin } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as { bin: Record<string, string> }
    const path = resolve(root, bin['fastify-mission-control-conformance']!)
    t.match(readFileSync(path, 'utf8'), /^#!\/usr\/bin\/env node\n/)
    const child = spawn(process.execPath, [path, '--timeout-ms', '2000', '--start', START, url], { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', (chunk) => { out += chunk })
    const [code] = await once(child, 'close') as [number]
    t.equal(code, 0, out)
    t.match(out, new RegExp(`\n${CHECKS.length} passed, 0 failed, 0 skipped\n$`))
  })

  t.test('reads its arguments from the command line and sets the exit code of the process', async (t) => {
    const { argv, exitCode } = process
    const out = t.capture(process.stdout, 'write', () => true)
    const err = t.capture(process.stderr, 'write', () => true)
    process.argv = [argv[0]!, 'cli.js']
    try {
      await import('../lib/conformance/cli.js')
      t.equal(process.exitCode, 2)
      process.argv.push('--help')
      await import(`../lib/conformance/cli.js?${'help'}` as '../lib/conformance/cli.js')
      t.equal(process.exitCode, 0)
    } finally {
      process.argv = argv
      process.exitCode = exitCode
    }
    t.match(String(err()[0]!.args[0]), /^the address of the server is missing/)
    t.match(String(out().find(({ args: [text] }) => String(text).startsWith('Usage'))!.args[0]), /^Usage/)
  })
})

t.test('every check has a unique name and a requirement in full sentences', async (t) => {
  t.equal(new Set(CHECKS.map(({ name }) => name)).size, CHECKS.length)
  for (const { name, demands } of CHECKS) t.match(`${name}: ${demands}`, /^[a-z]+(-[a-z0-9]+)*: [A-Z`].+\.$/)
})
