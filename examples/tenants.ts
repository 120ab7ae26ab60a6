// Users of two tenants and an operator watch one service. Each user sees the missions of its tenant, the operator sees
// all missions. The tokens are JSON Web Tokens that expire after five seconds; connected clients renew them.
//
//   npm run build:examples && node .examples/tenants.js
//
// The run takes a few seconds.
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import jwt from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import missionControl, { bearerToken } from 'fastify-mission-control'
import { connect } from 'fastify-mission-control/client'
import { WebSocket } from 'ws'
import { runProgram } from './flags.js'

const TOKEN_SECONDS = 5
const RUN_MS = 8_000

/** The content of a token. */
interface Claims { sub: string, tenant?: string, exp: number }

const USERS: Record<string, { tenant?: string }> = { ann: { tenant: 'acme' }, bob: { tenant: 'globex' }, olga: {} }

async function createService (): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(jwt, { secret: randomBytes(32).toString('hex') })
  const readToken = (token: string) => {
    // Throws for a forged or expired token, which is then refused.
    const { sub, tenant, exp } = app.jwt.verify<Claims>(token)
    return { id: sub, expiresAt: exp * 1_000, ...(tenant !== undefined && { tenant }) }
  }
  await app.register(missionControl, {
    access: {
      // Reads the subprotocol, which the client library sends, or the header `authorization`.
      identify: (request) => {
        const token = bearerToken(request)
        return token === undefined ? null : readToken(token)
      },
      refresh: readToken
    }
  })
  // A real service checks a password or a session here.
  app.post<{ Params: { user: string } }>('/token/:user', async ({ params: { user } }, reply) => {
    const known = USERS[user]
    if (known === undefined) return await reply.code(401).send({ error: 'unknown user' })
    return { token: app.jwt.sign({ sub: user, ...known }, { expiresIn: `${TOKEN_SECONDS}s` }) }
  })
  return app
}

interface Watcher { user: string, seen: Set<string>, tokens: number, close: () => void }

/** Watches the service as a user, and prints each status that a mission reaches. */
async function watch (url: string, user: string): Promise<Watcher> {
  const watcher: Watcher = { user, seen: new Set(), tokens: 0, close: () => client.close() }
  const client = connect(`${url}/ws/mission-control`, {
    WebSocket,
    getToken: async () => {
      watcher.tokens++
      const response = await fetch(`${url}/token/${user}`, { method: 'POST' })
      return (await response.json() as { token: string }).token
    }
  })
  client.on('state', ({ state, cause }) => console.log(`${user}: ${state} (${cause})`))
  client.on('mission_update', ({ name, status }) => {
    if (watcher.seen.has(`${name} ${status}`)) return
    watcher.seen.add(`${name} ${status}`)
    console.log(`${user}: ${name} ${status}`)
  })
  await client.ready
  return watcher
}

await runProgram('Usage: node .examples/tenants.js', async () => {
  const app = await createService()
  await app.listen({ host: '127.0.0.1', port: 0 })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const watchers = await Promise.all(Object.keys(USERS).map(async (user) => await watch(url, user)))

  const work = async () => { await sleep(RUN_MS) }
  app.missions.spawn({ name: 'acme import', tenant: 'acme' }, work)
  app.missions.spawn({ name: 'globex import', tenant: 'globex' }, work)
  const backup = app.missions.spawn({ name: 'backup of everything' }, work)
  await backup.done
  await sleep(100)

  console.log(`bob is locked: ${app.missionControl.revoke('bob')} connection closed`)
  await sleep(200)
  for (const { user, seen, tokens, close } of watchers) {
    const endings = [...seen].filter((one) => one.endsWith('completed')).length
    console.log(`${user} saw ${endings} endings and used ${tokens} tokens`)
    close()
  }
  await app.close()
  return 0
})
