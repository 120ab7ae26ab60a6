import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { Client } from './support/client.js'
import { addChannel, readSteps } from './support/new-channel.js'
import { runExample, startExample, startRunner } from './support/run-example.js'

const HOST = '.examples/host.js'
const WATCH = 'examples/watch.mjs'
const QUICK_START = 'examples/quick-start.mjs'
const CLIENT = '.examples/client.js'

// Most of the time is spent waiting for the programs.
t.jobs = 3
const run = startRunner(t)

const read = (path: string) => readFileSync(resolve(fileURLToPath(import.meta.url), '../..', path), 'utf8')

/** The numbers in the table of a round, by name. */
function readSummary (stdout: string): Record<string, number> {
  const rows = stdout.matchAll(/^ {2}([a-zA-Z0-9 ]+?) {2,}([0-9.]+)$/gm)
  return Object.fromEntries([...rows].map(([, name, value]) => [name, Number(value)]))
}

const manifest = (license: unknown) => JSON.stringify({ name: 'one', license })

/** A folder of installed packages: two in a scope, one of them with a license object as in old manifests, and one without a license. */
function installPackages (t: Test): string {
  return t.testdir({
    '.bin': { tool: '' },
    '@scope': { one: { 'package.json': manifest('MIT'), lib: { 'a.js': '12345' } }, two: { 'package.json': manifest({ type: 'ISC' }) } },
    bare: { 'package.json': manifest(undefined), 'index.js': '123' }
  })
}

// It takes ten seconds, during which the others run.
t.test('the terminal client follows the quick start to the end of its mission', async (t) => {
  const service = startExample(t, QUICK_START, [], { PORT: '0' })
  const [address] = await service.says(/http:\/\/\S+/)
  const client = startExample(t, CLIENT, [`${address.replace('http', 'ws')}/ws/mission-control`])
  const [, id] = await client.says(/open: connected\n(?:[^]*)count to ten: execution_progress (\d+)\/10/)
  t.ok(Number(id) >= 1)
  await client.says(/count to ten: completed/)
})

// It takes eight seconds, in which the tokens expire.
t.test('two tenants and an operator see their own missions, beyond the life of their tokens', async (t) => {
  const { code, stdout, stderr } = await runExample(t, '.examples/tenants.js')
  t.equal(code, 0)
  t.equal(stderr, '')
  t.notMatch(stdout, /ann: (globex|backup)/)
  t.notMatch(stdout, /bob: (acme|backup)/)
  t.match(stdout, /bob is locked: 1 connection closed/)
  t.match(stdout, /bob: closed \(unauthorised\)/)
  for (const [user, endings] of [['ann', 1], ['bob', 1], ['olga', 3]] as const) {
    const [, seen, tokens] = new RegExp(`${user} saw (\\d+) endings and used (\\d+) tokens`).exec(stdout)!
    t.equal(Number(seen), endings)
    t.ok(Number(tokens) > 1, `${tokens} tokens`)
    t.equal([...stdout.matchAll(new RegExp(`${user}: open`, 'g'))].length, 1, 'one connection')
  }
})

t.test('one round of the demo audits the installed packages and exits', async (t) => {
  const { code, stdout, stderr } = await runExample(t, HOST, ['--once', '--port', '0'])
  t.equal(code, 0)
  t.equal(stderr, '')
  const { missions, completed, errors, cancelled, packages, files, MB, 'p95 ms': p95 } = readSummary(stdout)
  t.ok(missions! > 1)
  t.equal(completed! + errors! + cancelled!, missions)
  t.ok(cancelled! >= 1, 'the largest scope times out')
  t.match(stdout, /mission_update +cancelled .* The mission took longer than its timeout/)
  for (const amount of [packages, files, MB, p95]) t.ok(amount! > 0)
  t.equal([...stdout.matchAll(/mission_update +(completed|error|cancelled) /g)].length, missions, 'the end of every mission is printed')
})

t.test('the demo prints its URLs in full', async (t) => {
  const { stdout } = await run(HOST, ['--once', '--port', '0', '--dir', installPackages(t)])
  const port = /ws:\/\/127\.0\.0\.1:(\d+)/.exec(stdout)![1]
  const [first] = /\w+:\/\/\S+/.exec(stdout)!
  t.equal(first, `http://127.0.0.1:${port}/mission-control/`, 'the page comes first')
  for (const url of [
    `ws://127.0.0.1:${port}/ws/mission-control`,
    `http://127.0.0.1:${port}/health?details=true`,
    `http://127.0.0.1:${port}/api/v1/metrics/prometheus`,
    `http://127.0.0.1:${port}/mission-control/ws-metrics`
  ]) t.ok(stdout.includes(`${url}\n`), url)
})

t.test('an audit counts packages and files, and a package without a license fails it', async (t) => {
  const root = installPackages(t)
  const { code, stdout } = await run(HOST, ['--once', '--port', '0', '--dir', root])
  t.equal(code, 0)
  t.match(readSummary(stdout), { missions: 2, completed: 1, errors: 1, cancelled: 0, packages: 3, files: 5 })
  t.match(stdout, /completed +@scope in \d+ ms\n/)
  t.match(stdout, /error +packages b in \d+ ms, no licence: bare\n/)
})

t.test('a long audit prints a line for some of its tasks only', async (t) => {
  const names = Array.from({ length: 26 }, (_, at) => `package-${at}`)
  const root = t.testdir({ '@many': Object.fromEntries(names.map((name) => [name, { 'package.json': manifest('MIT') }])) })
  const { stdout } = await run(HOST, ['--once', '--port', '0', '--dir', root])
  t.equal([...stdout.matchAll(/execution_progress +@many \d+ of 26: @many\/package-\d+\n/g)].length, 1)
})

t.test('the demo uses a free port if its own is taken, and says so', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as AddressInfo
  const { code, stdout } = await run(HOST, ['--once', '--dir', installPackages(t)], { PORT: String(port) })
  t.equal(code, 0)
  t.match(stdout, `Port ${port} is taken`)
  t.notMatch(stdout, `127.0.0.1:${port}/`)
})

t.test('the error for a wrong command line of the demo says what to write instead', async (t) => {
  const wrong: Array<[string[], NodeJS.ProcessEnv, RegExp]> = [
    [['--twice'], {}, /--twice[^]*Usage: npm run demo/],
    [['--port', 'http'], {}, /--port is "http", but must be a number from 0 to 65535/],
    [['--port', '1.5'], {}, /must be a whole number/],
    [[], { PORT: '70000' }, /PORT is "70000", but must be a number from 0 to 65535/],
    [['--dir', 'no-such-folder'], {}, /no-such-folder is not a folder; install the packages first/]
  ]
  for (const [args, environment, reason] of wrong) {
    const { code, stdout, stderr } = await run(HOST, args, environment)
    t.equal(code, 2)
    t.equal(stdout, '')
    t.match(stderr, reason)
  }
})

t.test('the demo runs until Ctrl-C, and its watchers receive the close code of a restart', async (t) => {
  const host = startExample(t, HOST, ['--port', '0', '--dir', installPackages(t)])
  const [url] = await host.says(/ws:\/\/\S+/)
  const watch = startExample(t, WATCH, [url])
  await watch.says(/ mission_stats \{/)
  await host.says(/ {2}seconds +[0-9.]+\n/)
  host.signal('SIGINT')
  t.equal((await host.ended).code, 0)
  const watched = await watch.ended
  t.equal(watched.code, 0)
  t.match(watched.stdout, /\nclosed: 1012 server_restart\n$/)
})

t.test('Ctrl-C cancels the active missions', async (t) => {
  const host = startExample(t, HOST, ['--port', '0'])
  await host.says(/execution_started +[@p]/)
  host.signal('SIGINT')
  const { code, stdout } = await host.ended
  t.equal(code, 0)
  const { missions, cancelled } = readSummary(stdout)
  t.ok(cancelled! >= 1 && cancelled! <= missions!)
  t.match(stdout, /cancelled .*, the service is closing/)
})

t.test('the page of the demo shows parents with children, several attempts, errors, and a mission that waits', async (t) => {
  const root = t.testdir({
    '@scope': { one: { 'package.json': manifest('MIT'), 'a.js': '12345', 'b.js': '12345' } },
    broken: { 'package.json': JSON.stringify({ name: 'broken', license: 'MIT', main: 'lib' }) },
    whole: { 'package.json': JSON.stringify({ name: 'whole', license: 'MIT', main: 'lib' }), 'lib.js': '' }
  })
  const host = startExample(t, HOST, ['--port', '0', '--dir', root])
  const [url] = await host.says(/http:\S+/)
  const page = await fetch(new URL('/', url))
  t.equal(page.url, url, 'the root leads to the page')
  t.match(await page.text(), /Package audit/)
  const client = await connectTo(url.replace(/^http(.*)mission-control.$/, 'ws$1ws/mission-control'))
  client.send({ type: 'subscribe', channels: ['mission_update'], endings: 100 })
  const seen = async (name: string, properties: object) => {
    const isMeant = ({ payload }: { payload: { name: string } }) => payload.name === name && Object.entries(properties).every(([key, value]) => payload[key as never] === value)
    return (await client.next('mission_update', isMeant)).payload
  }
  await client.next('mission_update', ({ payload: { name, parentId } }) => name === 'hash files' && parentId !== undefined)
  await seen('hash files', { status: 'completed' })
  await seen('find copies', { status: 'completed' })
  await seen('await installation', { status: 'execution_started' })
  t.match(await seen('check main files', { status: 'error' }), { error: 'no main file: broken', errorCode: 'main_file_missing' })
  writeFileSync(join(root, 'broken', 'lib.js'), '')
  t.match(await seen('check main files', { status: 'completed' }), { attempt: 2 })
  mkdirSync(join(root, 'new'))
  await seen('await installation', { status: 'completed' })
  await client.close()
  host.signal('SIGINT')
  t.match(await host.ended, { code: 0, stderr: '' })
})

t.test('clients of the demo may start the audit of a scope and cancel it', async (t) => {
  const host = startExample(t, HOST, ['--port', '0', '--dir', installPackages(t)])
  const [url] = await host.says(/ws:\/\/\S+/)
  const client = await connectTo(url)
  await client.subscribe('mission_update')
  client.send({ type: 'whoami' })
  t.match((await client.next('whoami')).payload, { startSchema: { properties: { scope: { enum: ['@scope', 'packages b'] } } } })
  client.send({ type: 'mission_start', command: '/mission {"scope":"@scope"}', id: 'start' })
  const { payload: { missionId } } = await client.next('mission_ack')
  const { payload } = await client.next('mission_update', (message) => message.payload.missionId === missionId && message.payload.durationMs !== undefined)
  t.match(payload, { name: '@scope', status: 'completed' })
  for (const command of ['rm -rf', '/mission {"scope":"@other"}', '/mission {"scope":"@scope","root":"/"}']) {
    client.send({ type: 'mission_start', command })
    t.equal((await client.next('protocol_error')).error.code, 'invalid_command')
  }
  client.send({ type: 'mission_cancel', missionId })
  t.equal((await client.next('mission_ack')).payload.action, 'cancel')
  await client.close()
})

t.test('the quick start reports a mission in at most 15 lines of code', async (t) => {
  const lines = read(QUICK_START).split('\n').filter((line) => line.trim() !== '')
  t.ok(lines.length <= 15, `${lines.length} lines`)

  const service = startExample(t, QUICK_START, [], { PORT: '0' })
  const [address] = await service.says(/http:\/\/\S+/)
  const client = await connectTo(`${address.replace('http', 'ws')}/ws/mission-control`)
  client.send({ type: 'whoami' })
  t.equal((await client.next('whoami')).payload.server, 'quick-start')
  await client.subscribe('mission_update')
  const { payload } = await client.next('mission_update', ({ payload }) => payload.progress !== undefined)
  t.match(payload, { name: 'count to ten', progress: { total: 10, status: 'completed' } })
  await client.close()
})

t.test('the watcher says why it cannot connect', async (t) => {
  const { code, stderr } = await runExample(t, WATCH, ['ws://127.0.0.1:1/ws/mission-control'])
  t.equal(code, 1)
  t.match(stderr, /cannot watch ws:\/\/127\.0\.0\.1:1/)
})

async function connectTo (url: string): Promise<Client> {
  const socket = new WebSocket(url)
  const client = new Client(socket)
  await once(socket, 'open')
  return client
}

const STEPS = [
  ['schemas/channels/queue-depth.ts'],
  ['schemas/channels/index.ts', 'schemas/index.ts'],
  ['schemas/messages/server-messages.ts'],
  ['lib/channels/queue-depth.ts', 'lib/hub/channel.ts'],
  ['lib/channels/index.ts'],
  ['lib/contract/descriptions.ts'],
  ['lib/client/channels.ts']
]

const USE_CHANNEL = `
  import Fastify from 'fastify'
  import { WebSocket } from 'ws'
  import missionControl from './dist/lib/index.js'
  const app = Fastify()
  await app.register(missionControl)
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = new WebSocket(address.replace('http', 'ws') + '/ws/mission-control')
  const messages = []
  const received = new Promise((resolve) => socket.on('message', (data) => {
    const message = JSON.parse(data)
    messages.push(message)
    if (message.type === 'subscription_ack') app.missionControl.publish('queue_depth', { queue: 'mail', waiting: 7 })
    if (message.type === 'queue_depth') resolve()
  }))
  socket.on('open', () => {
    socket.send('{"type":"whoami"}')
    socket.send('{"type":"subscribe","channels":["queue_depth"]}')
  })
  await received
  let refusal
  try { app.missionControl.publish('queue_depth', { queue: 'mail', waiting: -1 }) } catch (err) { refusal = err.code }
  socket.close()
  await app.close()
  console.log(JSON.stringify({ messages, refusal }))
`

t.test('the steps under "Add a channel" in docs/architecture.md add a channel that works', async (t) => {
  const steps = readSteps('Add a channel')
  t.strictSame(steps.map(({ files }) => files).filter(({ length }) => length > 0), STEPS, 'the page names the files that this test edits')
  const folder = t.testdir({ 'use.mjs': USE_CHANNEL })
  addChannel(folder, steps)
  const compiled = await runExample(t, 'node_modules/typescript7/bin/tsc', ['-p', join(folder, 'tsconfig.build.json')])
  t.strictSame(compiled, { code: 0, stdout: '', stderr: '' })

  const { code, stdout, stderr } = await run(join(folder, 'use.mjs'))
  t.strictSame({ code, stderr }, { code: 0, stderr: '' })
  const { messages, refusal } = JSON.parse(stdout) as { messages: Array<{ type: string, payload: object }>, refusal: string }
  t.match(messages.find(({ type }) => type === 'whoami')?.payload, { channels: /queue_depth/ })
  t.match(messages.find(({ type }) => type === 'queue_depth'), { payload: { queue: 'mail', waiting: 7 } })
  t.match(refusal, /^FST_MC_/, 'a payload that does not match the schema is refused')
})
