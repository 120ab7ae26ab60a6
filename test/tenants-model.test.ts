import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { TERMINAL_STATUSES, type ServerMessage } from '../schemas/index.js'
import { boot } from './support/app.js'
import { connect, type Client } from './support/client.js'

/** How many operations each story has. */
const OPERATIONS = Number(process.env['TENANTS_OPERATIONS'] ?? 2_500)
const SEEDS = process.env['TENANTS_SEED'] === undefined ? [1, 2, 3, 4] : [Number(process.env['TENANTS_SEED'])]

const TENANTS = ['red', 'green', 'blue'] as const
type Tenant = (typeof TENANTS)[number] | undefined
/** Everybody who looks: two users of each tenant, and an operator. */
const USERS = [...TENANTS.flatMap((tenant) => [`${tenant}-1`, `${tenant}-2`]), 'operator']

const tenantOf = (user: string): Tenant => TENANTS.find((tenant) => user.startsWith(tenant))
/** A word that must not reach other tenants. */
const canary = (tenant: Tenant, word: string): string => `canary-${tenant ?? 'nobody'}-${word}`
const canariesIn = (text: string): string[] => [...new Set([...text.matchAll(/canary-(\w+)-/g)].map(([, owner]) => owner!))]

const principalOf = (user: unknown) => {
  if (typeof user !== 'string' || !USERS.includes(user)) return null
  const tenant = tenantOf(user)
  return { id: user, ...(tenant && { tenant }) }
}

/** Mulberry32: a small generator with a seed. */
function createRandom (seed: number) {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (max: number): number => Math.floor(next() * max)
  return { next, below, pick: <T>(values: readonly T[]): T => values[below(values.length)]! }
}

interface ModelMission { id: string, tenant: Tenant, status: 'active' | 'completed' | 'cancelled' | 'errors' }

interface Session { user: string, client: Client, checked: number, lastOffset: number | undefined, isWhole: boolean, isClosed: boolean }

/** One story: a service, the model of its missions, and the faults that were found. */
class Story {
  readonly faults: string[] = []
  readonly counts: Record<string, number> = {}
  readonly #app: FastifyInstance
  readonly #random: ReturnType<typeof createRandom>
  readonly #missions: ModelMission[] = []
  #sessions: Session[] = []
  readonly #cursors = new Map<string, object>()
  #serial = 0

  constructor (app: FastifyInstance, seed: number) {
    this.#app = app
    this.#random = createRandom(seed)
  }

  async play (operations: number): Promise<void> {
    const acts: Array<[name: string, weight: number, act: () => unknown]> = [
      ['start', 8, () => this.#start()],
      ['report', 16, () => this.#report()],
      ['end', 6, () => this.#end()],
      ['connect', 3, () => this.#connect()],
      ['leave', 2, () => this.#leave()],
      ['subscribe', 6, () => this.#subscribe()],
      ['resume', 3, () => this.#resume()],
      ['ask', 6, () => this.#ask()],
      ['refresh', 2, () => this.#refresh()],
      ['revoke', 1, () => this.#revoke()],
      ['http', 5, () => this.#http()],
      ['settle', 4, () => this.#settle()]
    ]
    const all = acts.flatMap(([name, weight, act]) => Array.from({ length: weight }, () => [name, act] as const))
    for (let at = 0; at < operations && this.faults.length === 0; at++) {
      const [name, act] = this.#random.pick(all)
      this.counts[name] = (this.counts[name] ?? 0) + 1
      await act()
    }
    await this.#settle()
    for (const user of USERS) await this.#compare(user)
    for (const { client } of this.#sessions) client.socket.terminate()
  }

  #fault (text: string): void {
    this.faults.push(text)
  }

  #active (): ModelMission | undefined {
    const active = this.#missions.filter(({ status }) => status === 'active')
    return active.length === 0 ? undefined : this.#random.pick(active)
  }

  #start (): void {
    const tenant = this.#random.pick([...TENANTS, undefined])
    const parent = this.#missions.length > 0 && this.#random.below(3) === 0 ? this.#random.pick(this.#missions) : undefined
    // A child belongs to the tenant of its parent.
    const owner = tenant ?? parent?.tenant
    const id = `${canary(owner, 'id')}-${++this.#serial}`
    this.#app.missions.start({
      id,
      name: canary(owner, 'name'),
      objective: canary(owner, 'objective'),
      tags: [canary(owner, 'tag')],
      metadata: { secret: canary(owner, 'metadata') },
      ...(tenant !== undefined && { tenant }),
      ...(parent !== undefined && { parentId: parent.id })
    })
    this.#missions.push({ id, tenant: owner, status: 'active' })
  }

  #report (): void {
    const mission = this.#active()
    if (mission === undefined) return
    const { id, tenant } = mission
    const handle = this.#app.missions.get(id)!
    const word = (name: string) => canary(tenant, name)
    const reports = [
      () => handle.tasksGenerated([{ id: word('task') }]),
      () => handle.planned({ steps: [word('plan')] }),
      () => handle.executionStarted(),
      () => handle.progress({ taskId: word('task'), index: 1, total: 2, status: word('status') }),
      () => handle.annotate({ more: word('metadata') }),
      () => handle.note(word('note'), { data: word('data') }),
      () => handle.waiting(word('waiting'))
    ]
    this.#random.pick(reports)()
  }

  #end (): void {
    const mission = this.#active()
    if (mission === undefined) return
    const handle = this.#app.missions.get(mission.id)!
    mission.status = this.#random.pick(['completed', 'cancelled', 'errors'] as const)
    if (mission.status === 'completed') handle.complete()
    else if (mission.status === 'errors') handle.fail(Object.assign(new Error(canary(mission.tenant, 'error')), { code: canary(mission.tenant, 'code') }))
    else handle.cancelled(canary(mission.tenant, 'reason'))
  }

  async #connect (user = this.#random.pick(USERS)): Promise<Session> {
    const client = await connect(this.#app, { headers: { 'x-user': user } })
    const session: Session = { user, client, checked: 0, lastOffset: undefined, isWhole: false, isClosed: false }
    client.closed.then(() => { session.isClosed = true })
    this.#sessions.push(session)
    return session
  }

  #session (): Session | undefined {
    this.#sessions = this.#sessions.filter(({ isClosed }) => !isClosed)
    return this.#sessions.length === 0 ? undefined : this.#random.pick(this.#sessions)
  }

  async #leave (): Promise<void> {
    const session = this.#session()
    if (session === undefined) return
    await session.client.settle()
    this.#check(session)
    await session.client.close()
  }

  #subscribe (): void {
    const session = this.#session()
    if (session === undefined) return
    const kind = this.#random.below(4)
    const channels = ['mission_update', 'mission_stats', 'health_delta', 'metrics_tick', 'anomaly_alert'].slice(0, 1 + this.#random.below(5))
    session.client.send({ type: 'unsubscribe', channels })
    session.client.send({
      type: 'subscribe',
      id: kind === 0 ? 'filtered' : 'whole',
      channels,
      endings: this.#random.below(5),
      ...(kind === 0 && { filter: { tags: [canary(this.#random.pick(TENANTS), 'tag')] } })
    })
  }

  async #resume (): Promise<void> {
    const user = this.#random.pick(USERS)
    const cursor = this.#cursors.get(this.#random.below(4) === 0 ? this.#random.pick(USERS) : user)
    if (cursor === undefined) return
    const session = await this.#connect(user)
    session.client.send({ type: 'subscribe', id: 'whole', channels: ['mission_update'], since: { mission_update: cursor } })
  }

  async #ask (): Promise<void> {
    const session = this.#session()
    const mission = this.#missions.length === 0 ? undefined : this.#random.pick(this.#missions)
    if (session === undefined || mission === undefined) return
    const tenant = tenantOf(session.user)
    const isTheirs = tenant === undefined || mission.tenant === tenant
    const type = this.#random.pick(['mission_get', 'mission_cancel'])
    const id = `ask-${++this.#serial}`
    const messages = await session.client.send({ type, missionId: mission.id, id }).settle()
    const answer = messages.find((message) => 'replyTo' in message && message.replyTo === id)
    const isRefused = answer?.type === 'protocol_error'
    if (isRefused === isTheirs) this.#fault(`${session.user} asked ${type} of ${mission.id}: ${answer?.type}`)
    if (isRefused && answer.error.code !== 'unknown_mission') this.#fault(`${type} was answered ${answer.error.code}`)
    this.#check(session)
  }

  async #refresh (): Promise<void> {
    const session = this.#session()
    if (session === undefined) return
    await session.client.settle()
    const token = this.#random.pick([session.user, session.user, ...USERS])
    session.client.send({ type: 'auth_refresh', token, id: 'refresh' })
    if (token === session.user) await session.client.next('auth_refreshed')
    else {
      const { code, reason } = await session.client.closed
      if (code !== 4401 || reason !== 'unauthorised') this.#fault(`a foreign token was answered ${code} ${reason}`)
    }
    this.#check(session)
  }

  async #revoke (): Promise<void> {
    await this.#settle()
    const user = this.#random.pick(USERS)
    const theirs = this.#sessions.filter((session) => session.user === user && !session.isClosed)
    const revoked = this.#app.missionControl.revoke(this.#random.below(2) === 0 ? user : ({ id }) => id === user)
    if (revoked !== theirs.length) this.#fault(`revoked ${revoked} of ${theirs.length} connections`)
    await Promise.all(theirs.map(({ client }) => client.closed))
  }

  async #http (): Promise<void> {
    const user = this.#random.pick([...USERS, 'stranger'])
    const mission = this.#missions.length === 0 ? undefined : this.#random.pick(this.#missions)
    const id = mission?.id ?? 'none'
    const tenant = tenantOf(user)
    const isOperator = user === 'operator'
    const isTheirs = mission !== undefined && (isOperator || (tenant !== undefined && mission.tenant === tenant))
    const found = isTheirs ? 200 : 404
    const routes: Array<[method: 'GET' | 'POST', url: string, status: number]> = [
      ['GET', '/missions?limit=200', 200],
      ['GET', `/missions?limit=200&parentId=${id}`, 200],
      ['GET', `/missions/${id}`, found],
      ['POST', `/missions/${id}/cancel`, isTheirs ? 202 : 404],
      ['GET', '/health?details=true', isOperator ? 200 : 403],
      ['GET', '/mission-control/ws-metrics', isOperator ? 200 : 403],
      ['GET', '/api/v1/metrics/prometheus', isOperator ? 200 : 403],
      ['GET', '/mission-control/asyncapi.json', 200]
    ]
    const [method, url, status] = this.#random.pick(routes)
    const { statusCode, body } = await this.#app.inject({ method, url, headers: { 'x-user': user, host: 'x' } })
    const expected = user === 'stranger' ? 401 : status
    if (statusCode !== expected) this.#fault(`${method} ${url} of ${user}: ${statusCode}`)
    this.#look(user, body, `${method} ${url}`)
    const health = await this.#app.inject('/health')
    if (health.statusCode === 401 || canariesIn(health.body).length > 0) this.#fault('/health is not public')
    if (isOperator && url.includes('prometheus') && canariesIn(body).length > 0) this.#fault('the metrics name a mission or a tenant')
  }

  #look (user: string, text: string, where: string): void {
    const tenant = tenantOf(user)
    const foreign = user === 'operator' ? [] : canariesIn(text).filter((owner) => owner !== tenant)
    // What a viewer has asked for itself is not told by the service, but nothing is ever echoed.
    if (foreign.length > 0) this.#fault(`${user} received ${foreign.join()} from ${where}: ${text.slice(0, 300)}`)
  }

  #check (session: Session): void {
    const { user, client, checked } = session
    for (const message of client.received.slice(checked)) {
      this.#look(user, JSON.stringify(message), message.type)
      this.#follow(session, message)
    }
    session.checked = client.received.length
  }

  // The offsets of a viewer without a filter have no holes: they count what it may see, and nothing else.
  #follow (session: Session, message: ServerMessage): void {
    if (message.type === 'subscription_ack' && message.payload.channel === 'mission_update') {
      const { status, outcome, asOf } = message.payload
      session.isWhole = message.replyTo === 'whole'
      session.lastOffset = status === 'subscribed' && outcome !== undefined && outcome !== 'resumed' ? asOf!.offset : undefined
    }
    if (message.type !== 'mission_update' || message.position === undefined) return
    const { offset, epoch } = message.position
    if (session.isWhole && session.lastOffset !== undefined && offset !== session.lastOffset + 1) {
      this.#fault(`${session.user} received offset ${offset} after ${session.lastOffset}`)
    }
    session.lastOffset = offset
    this.#cursors.set(session.user, { epoch, offset, id: message.id })
  }

  async #settle (): Promise<void> {
    this.#session()
    for (const session of this.#sessions) {
      await session.client.settle()
      this.#check(session)
    }
  }

  // A new subscription shows the missions and the counts of the model.
  async #compare (user: string): Promise<void> {
    const session = await this.#connect(user)
    const tenant = tenantOf(user)
    const theirs = this.#missions.filter((mission) => user === 'operator' || mission.tenant === tenant)
    session.client.send({ type: 'subscribe', channels: ['mission_update', 'mission_stats'], endings: 1_000 })
    const messages = await session.client.settle()
    this.#check(session)
    const shown = messages.flatMap((message) => message.type === 'mission_update' ? [message.payload] : [])
    const isEnded = ({ status }: { status: string }) => (TERMINAL_STATUSES as readonly string[]).includes(status)
    const ids = (list: Array<{ missionId: string }>) => list.map(({ missionId }) => missionId).sort().join(' ')
    const expected = theirs.filter(({ status }) => status === 'active').map(({ id }) => ({ missionId: id }))
    if (ids(shown.filter((update) => !isEnded(update))) !== ids(expected)) this.#fault(`${user} sees other active missions than there are`)
    for (const { missionId } of shown) if (!theirs.some(({ id }) => id === missionId)) this.#fault(`${user} sees ${missionId}`)
    const stats = messages.find((message) => message.type === 'mission_stats')
    const count = (status: ModelMission['status']) => theirs.filter((mission) => mission.status === status).length
    const counts = { active: count('active'), completed: count('completed'), cancelled: count('cancelled'), errors: count('errors'), total: theirs.length }
    const { active, completed, cancelled, errors, total } = (stats as { payload: typeof counts }).payload
    if (JSON.stringify({ active, completed, cancelled, errors, total }) !== JSON.stringify(counts)) this.#fault(`${user} is told ${JSON.stringify({ active, completed, cancelled, errors, total })} instead of ${JSON.stringify(counts)}`)
  }
}

async function serve (t: Test): Promise<FastifyInstance> {
  const app = await boot(t, {
    clock: createVirtualClock(Date.UTC(2026, 5, 1)),
    routes: { missions: '/missions' },
    websocket: { heartbeatMs: 1_000_000_000, maxMessagesPerSecond: 100_000, maxConnectionsPerSecond: 100_000 },
    missions: { maxProgressPerSecond: 1_000, maxEnded: 100_000 },
    access: { identify: ({ headers }) => principalOf(headers['x-user']), refresh: (token) => principalOf(token) }
  })
  app.missions.handle({ cancel: {} })
  return app
}

for (const seed of SEEDS) {
  t.test(`${OPERATIONS} random operations show no tenant anything of another one, and everybody their own counts (seed ${seed})`, async (t) => {
    const story = new Story(await serve(t), seed)
    await story.play(OPERATIONS)
    t.strictSame(story.faults, [], `play it again with TENANTS_SEED=${seed}`)
    for (const [name, count] of Object.entries(story.counts)) t.ok(count > 10, `${name}: ${count} times`)
  })
}
