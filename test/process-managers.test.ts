import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { Client } from './support/client.js'
import { Program, spawnNode } from './support/run-example.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const page = readFileSync(join(root, 'docs/with-other-plugins.md'), 'utf8')
const section = page.split('\n## Process managers\n')[1]!.split('\n## ')[0]!
const shown = (language: string): string => new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'm').exec(section)![1]!

/** A mission that takes 800 ms to end: more than fastify-cli waits by default. */
const WORK = `app.missions.spawn('job', ({ signal }) => new Promise((resolve) => {
  signal.addEventListener('abort', () => setTimeout(resolve, 800))
}))`

/** A plugin for fastify-cli. */
const PLUGIN = `import missionControl from 'fastify-mission-control'

export default async function (app, options) {
  await app.register(missionControl)
  ${WORK}
  app.addHook('onListen', async () => console.log(app.server.address().port))
}
`

/** A program that closes its app as the page shows. */
const SERVER = `import Fastify from 'fastify'
import missionControl from 'fastify-mission-control'
${shown('js')}
const app = Fastify()
await app.register(missionControl)
${WORK}
await app.listen({ port: 0, host: '127.0.0.1' })
console.log(app.server.address().port)
`

// fastify-cli takes the port 0 for none.
async function freePort (): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return String(port)
}

interface Host { program: Program, client: Client }

/** Starts a program that prints its port, and watches its mission. */
async function start (t: Test, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Host> {
  const child = spawnNode(args, { env: { ...process.env, ...env } })
  t.teardown(() => { child.kill('SIGKILL') })
  const program = new Program(child)
  return { program, client: await watch((await program.says(/^(\d+)$/m))[1]!) }
}

async function watch (port: string): Promise<Client> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/mission-control`)
  const client = new Client(socket)
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return await client.subscribe('mission_update')
}

const typesOf = ({ received }: Client) => received.slice(2).map((message) =>
  message.type === 'mission_update' ? message.payload.status : message.type)

/** The close was complete: the client was told, received the ending of the mission, and a close frame. */
async function isComplete (t: Test, client: Client): Promise<void> {
  t.same(await client.closed, { code: 1012, reason: 'server_restart' })
  t.match(typesOf(client).join(), /server_draining.*completed/)
}

const CLI = 'node_modules/fastify-cli/cli.js'

t.test('fastify-cli', async (t) => {
  const file = join(t.testdir({ 'plugin.mjs': PLUGIN }), 'plugin.mjs')
  const args = /`fastify (start -g \d+)`/.exec(section)![1]!.split(' ')

  t.test('with -g closes completely', async (t) => {
    const { program, client } = await start(t, [CLI, ...args, '-p', await freePort(), file])
    program.signal('SIGTERM')
    await isComplete(t, client)
    t.equal((await program.ended).code, 0)
  })

  t.test('with FASTIFY_CLOSE_GRACE_DELAY closes completely', async (t) => {
    const { program, client } = await start(t, [CLI, 'start', '-p', await freePort(), file], { FASTIFY_CLOSE_GRACE_DELAY: '10000' })
    program.signal('SIGTERM')
    await isComplete(t, client)
    t.equal((await program.ended).code, 0)
  })

  t.test('cuts off missions and clients by default', async (t) => {
    const { program, client } = await start(t, [CLI, 'start', '-p', await freePort(), file])
    program.signal('SIGTERM')
    t.match(await client.closed, { code: 1006 })
    t.notOk(typesOf(client).includes('completed'))
    t.equal((await program.ended).code, 1)
  })
})

t.test('close-with-grace closes completely', async (t) => {
  const file = join(t.testdir({ 'server.mjs': SERVER }), 'server.mjs')
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { program, client } = await start(t, [file])
    program.signal(signal)
    await isComplete(t, client)
    t.equal((await program.ended).code, 0)
  }
})

// PM2 itself is not installed: it brings 130 packages. It runs the script, sends SIGINT, and kills after `kill_timeout`.
t.test('the settings for PM2 leave a process the time that it needs', async (t) => {
  const folder = t.testdir({ 'server.mjs': SERVER, 'ecosystem.config.cjs': shown('cjs') })
  const require = createRequire(join(folder, 'server.mjs'))
  const { apps: [app] } = require('./ecosystem.config.cjs') as { apps: Array<{ script: string, kill_timeout: number }> }
  const { program, client } = await start(t, [join(folder, app!.script)])
  const kill = setTimeout(() => { program.signal('SIGKILL') }, app!.kill_timeout)
  program.signal('SIGINT')
  await isComplete(t, client)
  t.equal((await program.ended).code, 0)
  clearTimeout(kill)
})
