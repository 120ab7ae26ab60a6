import t from 'tap'
import { bearerToken } from '../lib/index.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { boot } from './support/app.js'
import { ensureListening, urlOf } from './support/client.js'
import { connectSubscribed } from './support/fake-service.js'
import { defer, settle } from './support/missions.js'
import { connect } from '../lib/client/index.js'
import { WebSocket } from 'ws'

const NOW = Date.UTC(2026, 5, 1)

t.test('a token that expires', async (t) => {
  t.test('is renewed over the open connection, once at a time', async (t) => {
    const tokens = ['first', defer<string>(), 'third'] as const
    let asked = 0
    const service = await connectSubscribed(t, {
      getToken: async () => {
        const token = tokens[asked++]!
        return typeof token === 'string' ? token : await token.promise
      }
    })
    service.send('auth_expiring', { payload: { inMs: 60_000 } })
    service.send('auth_expiring', { payload: { inMs: 59_000 } })
    await settle()
    t.equal(asked, 2, 'the second warning comes while the host is asked')
    ;(tokens[1] as { resolve: (token: string) => void }).resolve('second')
    await settle()
    const sent = () => service.socket.sent.filter(({ type }) => type === 'auth_refresh').map(({ token }) => token)
    t.strictSame(sent(), ['second'])
    service.send('auth_refreshed', { replyTo: service.socket.last('auth_refresh').id, payload: { expiresInMs: 60_000 } })
    service.send('auth_expiring', { payload: { inMs: 30_000 } })
    await settle()
    t.strictSame(sent(), ['second', 'third'])
    t.equal(service.sockets.length, 1)
    t.strictSame([service.client.state, service.errors], ['open', []])
  })

  t.test('is not renewed without getToken', async (t) => {
    const service = await connectSubscribed(t)
    service.send('auth_expiring', { payload: { inMs: 60_000 } })
    await settle()
    t.notOk(service.socket.sent.some(({ type }) => type === 'auth_refresh'))
    service.drop(4401, 'token_expired')
    t.equal(service.client.cause, 'token_expired')
    service.clock.advance(0)
    await settle()
    t.equal(service.sockets.length, 2, 'the session of a cookie may have been renewed')
  })

  t.test('whose successor cannot be had is reported, and asked for again after the next warning', async (t) => {
    const answers: Array<() => unknown> = [() => 'first', () => { throw new Error('no session') }, () => 'not a token', () => new Promise(() => {}), () => 'last']
    const service = await connectSubscribed(t, { getToken: () => answers.shift()!() as string })
    const warn = async () => {
      service.send('auth_expiring', { payload: { inMs: 60_000 } })
      await settle()
    }
    await warn()
    t.match(service.errors, [{ code: 'MC_CLIENT_TOKEN_FAILED', cause: { message: 'no session' } }])
    await warn()
    t.match(service.errors[1], { code: 'MC_CLIENT_INVALID_TOKEN' })
    await warn()
    await warn()
    t.equal(answers.length, 1, 'one question at a time')
    service.send('heartbeat', { intervalMs: 1_000_000 })
    service.clock.advance(60_000)
    await warn()
    t.equal(service.socket.last('auth_refresh')['token'], 'last')
    t.equal(service.client.state, 'open')
    t.equal(service.sockets.length, 1)
  })

  t.test('that arrives after the connection was lost or closed is not sent', async (t) => {
    const late = defer<string>()
    let asked = 0
    const service = await connectSubscribed(t, { getToken: async () => asked++ === 1 ? await late.promise : 'token' })
    service.send('auth_expiring', { payload: { inMs: 60_000 } })
    await settle()
    const { socket } = service
    service.drop()
    late.resolve('late')
    await settle()
    t.notOk(socket.sent.some(({ type }) => type === 'auth_refresh'))
    t.strictSame(service.errors, [])
    service.client.close()
  })

  t.test('that the service refuses ends the client', async (t) => {
    const service = await connectSubscribed(t, { getToken: () => 'token' })
    const waiting = service.client.waitFor('a').catch((err: { code: string, message: string }) => err)
    service.drop(4401, 'unauthorised')
    t.strictSame([service.client.state, service.client.cause], ['closed', 'unauthorised'])
    t.match(await waiting, { code: 'MC_CLIENT_CLOSED' })
    service.clock.advance(1_000_000)
    await settle()
    t.equal(service.sockets.length, 1, 'it does not connect again')
  })
})

t.test('a channel that is taken away is reported, and the others go on', async (t) => {
  const service = await connectSubscribed(t, { channels: ['mission_update', 'health_delta'] })
  const messages: string[] = []
  service.client.on('error', ({ code, message, reason }) => { messages.push(`${code} ${message} ${reason}`) })
  service.send('subscription_revoked', { payload: { channel: 'health_delta' } })
  t.strictSame(messages, ['MC_CLIENT_REFUSED health_delta subscription_revoked'])
  t.equal(service.client.state, 'open')
})

t.test('with a service, a client outlives its token, and does not come back after it was revoked', async (t) => {
  const clock = createVirtualClock(NOW)
  const read = (token: string | undefined) => {
    const [id, expiresAt] = token?.split('.') ?? []
    return id === undefined ? null : { id, expiresAt: Number(expiresAt) }
  }
  const app = await boot(t, {
    clock,
    websocket: { heartbeatMs: 1_000_000_000 },
    access: { identify: (request) => read(bearerToken(request)), refresh: read }
  })
  await ensureListening(app)
  let tokens = 0
  const isRenewed = defer<void>()
  const client = connect(urlOf(app), {
    WebSocket,
    heartbeatMs: 1_000_000,
    getToken: () => {
      if (++tokens === 2) isRenewed.resolve()
      return `ann.${NOW + 100_000 * tokens}`
    }
  })
  t.teardown(() => client.close())
  const states: string[] = []
  client.on('state', ({ state, cause }) => { states.push(`${state} ${cause}`) })
  client.on('error', (err) => { t.fail(String(err)) })
  await client.ready
  clock.advance(40_000)
  await isRenewed.promise
  await client.ping()
  clock.advance(90_000)
  const mission = app.missions.start('job')
  const { value } = await client.missions().next()
  t.equal(value?.missionId, mission.id, 'beyond the first token')
  const isClosed = new Promise<void>((resolve) => { client.on('state', ({ state }) => { if (state === 'closed') resolve() }) })
  t.equal(app.missionControl.revoke('ann'), 1)
  await isClosed
  t.strictSame(states, ['open connected', 'closed unauthorised'])
})
