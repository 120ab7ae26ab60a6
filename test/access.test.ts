import t from 'tap'
import { Access, type AccessRules } from '../lib/access/access.js'
import { bearerToken } from '../lib/access/bearer-token.js'
import { EVERYBODY, type Viewer } from '../lib/access/viewer.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { ACCESS_ACTIONS, type AccessQuestion, type MissionSubject } from '../schemas/access.js'
import { CHANNEL_NAMES } from '../schemas/index.js'

t.test('the token of a request', async (t) => {
  const cases: Array<[headers: Record<string, string>, token: string | undefined]> = [
    [{}, undefined], [{ authorization: 'Bearer abc' }, 'abc'], [{ authorization: 'bearer  abc ' }, 'abc'], [{ authorization: 'Basic abc' }, undefined],
    [{ authorization: 'Bearer' }, undefined], [{ authorization: 'Bearer a b' }, undefined], [{ 'sec-websocket-protocol': 'bearer, abc' }, 'abc'],
    [{ 'sec-websocket-protocol': 'bearer,abc' }, 'abc'], [{ 'sec-websocket-protocol': 'Bearer ,abc, more' }, 'abc'], [{ 'sec-websocket-protocol': 'abc' }, undefined],
    [{ 'sec-websocket-protocol': 'chat, bearer, abc' }, undefined], [{ 'sec-websocket-protocol': 'bearer' }, undefined], [{ 'sec-websocket-protocol': 'bearer,' }, undefined],
    [{ authorization: 'Bearer one', 'sec-websocket-protocol': 'bearer, two' }, 'one']
  ]
  for (const [headers, token] of cases) t.equal(bearerToken({ headers }), token, JSON.stringify(headers))
  const query = { token: 'abc', empty: '', twice: ['a', 'b'] }
  t.strictSame(['token', 'empty', 'twice', 'other', undefined].map((name) => bearerToken({ headers: {}, query }, name)), ['abc', undefined, undefined, undefined, undefined])
  t.equal(bearerToken({ headers: { authorization: 'Bearer one' }, query }, 'token'), 'one')
  t.equal(bearerToken({ headers: {} }, 'token'), undefined)
})

const NOW = Date.UTC(2026, 5, 1)

const setup = (rules?: Partial<AccessRules>) => {
  const clock = createVirtualClock(NOW)
  const failures: Array<[where: string, code: unknown]> = []
  const access = new Access({
    rules: rules && { identify: () => null, ...rules },
    clock,
    onCallbackError: (where, err) => failures.push([where, (err as { code?: string }).code ?? (err as Error).message])
  })
  return { access, clock, failures }
}
const viewer = (id: string, tenant?: string): Viewer => ({ principal: { id, ...(tenant && { tenant }) }, id, tenant, expiresAt: Infinity })
const mission = (tenant: string | null): MissionSubject => ({ id: 'm', name: 'job', tenant, tags: [], metadata: null })

/** A promise of another realm. */
const foreign = (settle: (resolve: (value: unknown) => void, reject: (err: unknown) => void) => void) => ({ then: settle })

t.test('who is asking', async (t) => {
  t.test('is everybody without rules', async (t) => {
    const { access } = setup()
    t.equal(await access.identify({}), EVERYBODY)
    t.match(access, { isRestricted: false, isNarrowed: false, canRefresh: false })
    t.ok(access.allows(EVERYBODY, { action: 'metrics' }))
    t.equal(await access.refresh('token', EVERYBODY, {}), null)
  })

  t.test('is what the host says, with the properties of its own', async (t) => {
    const principal = { id: 'ann', tenant: 'acme', roles: ['admin'], expiresAt: NOW + 1, team: 'blue' }
    const requests: unknown[] = []
    const { access } = setup({ identify: (request) => { requests.push(request); return principal } })
    const request = {}
    t.strictSame(await access.identify(request), { principal, id: 'ann', tenant: 'acme', expiresAt: NOW + 1 })
    t.equal(requests[0], request)
    t.strictSame(await setup({ identify: async () => ({ id: 'root' }) }).access.identify({}),
      { principal: { id: 'root' }, id: 'root', tenant: undefined, expiresAt: Infinity })
    t.match(await setup({ identify: () => foreign((resolve) => resolve({ id: 'far' })) as never }).access.identify({}), { id: 'far' })
  })

  t.test('is nobody for null, for garbage, after an error, and without an answer', async (t) => {
    const cases: Array<[title: string, answer: () => unknown, failure: unknown]> = [
      ['null', () => null, undefined],
      ['a promise of null', async () => null, undefined],
      ['an expired principal', () => ({ id: 'ann', expiresAt: NOW }), undefined],
      ['undefined', () => undefined, 'FST_MC_INVALID_PRINCIPAL'],
      ['true', () => true, 'FST_MC_INVALID_PRINCIPAL'],
      ['a string', () => 'ann', 'FST_MC_INVALID_PRINCIPAL'],
      ['a list', () => [], 'FST_MC_INVALID_PRINCIPAL'],
      ['no id', () => ({}), 'FST_MC_INVALID_PRINCIPAL'],
      ['an empty id', () => ({ id: '' }), 'FST_MC_INVALID_PRINCIPAL'],
      ['a number as id', () => ({ id: 7 }), 'FST_MC_INVALID_PRINCIPAL'],
      ['a long id', () => ({ id: 'x'.repeat(257) }), 'FST_MC_INVALID_PRINCIPAL'],
      ['null as tenant', () => ({ id: 'ann', tenant: null }), 'FST_MC_INVALID_PRINCIPAL'],
      ['an empty tenant', () => ({ id: 'ann', tenant: '' }), 'FST_MC_INVALID_PRINCIPAL'],
      ['roles that are no list', () => ({ id: 'ann', roles: 'admin' }), 'FST_MC_INVALID_PRINCIPAL'],
      ['a time in seconds', () => ({ id: 'ann', expiresAt: NOW / 1_000 + 60 }), 'FST_MC_INVALID_PRINCIPAL'],
      ['a time that is none', () => ({ id: 'ann', expiresAt: NaN }), 'FST_MC_INVALID_PRINCIPAL'],
      ['a Date', () => ({ id: 'ann', expiresAt: new Date(NOW + 1) }), 'FST_MC_INVALID_PRINCIPAL'],
      ['a getter that throws', () => ({ get id () { throw new Error('broken') } }), 'broken'],
      ['a throw', () => { throw new Error('broken') }, 'broken'],
      ['a rejection', async () => { throw new Error('broken') }, 'broken'],
      ['a rejection of another realm', () => foreign((_resolve, reject) => reject(new Error('broken'))), 'broken']
    ]
    for (const [title, answer, failure] of cases) {
      const { access, failures } = setup({ identify: answer as never })
      t.equal(await access.identify({}), null, title)
      t.strictSame(failures, failure === undefined ? [] : [['identify', failure]], title)
    }
    const { access, clock, failures } = setup({ identify: () => new Promise(() => {}) })
    const waiting = access.identify({})
    clock.advance(5_000)
    t.equal(await waiting, null)
    t.strictSame(failures, [['identify', 'FST_MC_IDENTIFY_TIMEOUT']])
  })

  t.test('an answer that comes too late changes nothing', async (t) => {
    let answer!: (principal: { id: string }) => void
    const { access, clock } = setup({ identify: () => new Promise((resolve) => { answer = resolve }) })
    const waiting = access.identify({})
    clock.advance(5_000)
    answer({ id: 'ann' })
    t.equal(await waiting, null)
  })

  t.test('a new token renews the same principal, and no other', async (t) => {
    const asked: unknown[] = []
    const answers: Record<string, unknown> = {
      good: { id: 'ann', tenant: 'acme', expiresAt: NOW + 9 }, other: { id: 'bob', tenant: 'acme' }, moved: { id: 'ann', tenant: 'other' }, nobody: null, garbage: 7
    }
    const { access, failures } = setup({
      refresh: (token, context) => {
        asked.push(context)
        return answers[token] as never
      }
    })
    t.equal(access.canRefresh, true)
    const ann = viewer('ann', 'acme')
    const request = {}
    t.match(await access.refresh('good', ann, request), { id: 'ann', expiresAt: NOW + 9 })
    t.strictSame(asked, [{ principal: ann.principal, request }])
    for (const token of ['other', 'moved', 'nobody', 'garbage']) t.equal(await access.refresh(token, ann, request), null, token)
    t.strictSame(failures, [['refresh', 'FST_MC_INVALID_PRINCIPAL']])
  })
})

t.test('what a viewer may do', async (t) => {
  const questions: AccessQuestion[] = ACCESS_ACTIONS.flatMap((action): AccessQuestion[] => {
    if (action === 'subscribe' || action === 'replay') return CHANNEL_NAMES.map((channel) => ({ action, channel }))
    if (action === 'see' || action === 'cancel') return [null, 'acme', 'other'].map((tenant) => ({ action, mission: mission(tenant) }))
    return [{ action }]
  })
  const isOfProcess = ({ action, channel }: AccessQuestion) => channel === 'metrics_tick' || ['metrics', 'health_details'].includes(action)
  const viewers: Array<[Viewer, (question: AccessQuestion) => boolean]> = [
    [viewer('operator'), () => true],
    [viewer('ann', 'acme'), (question) => !isOfProcess(question) && (question.mission === undefined || question.mission.tenant === 'acme')]
  ]

  t.test('without authorize: an operator everything, others what is of their tenant', async (t) => {
    const { access } = setup({})
    for (const [who, expected] of viewers) {
      for (const question of questions) t.equal(access.allows(who, question), expected(question), `${who.id} ${JSON.stringify(question)}`)
    }
    t.ok(access.sees(viewer('ann', 'acme'), mission('acme')))
    t.notOk(access.sees(viewer('ann', 'acme'), mission(null)))
  })

  t.test('with rules: nothing for a viewer that the host was not asked about', async (t) => {
    const { access } = setup({ authorize: () => true })
    for (const question of questions) t.notOk(access.allows(EVERYBODY, question))
  })

  t.test('with authorize: what it answers with true, and never more', async (t) => {
    for (const answer of [true, false, 1, 'yes', {}, null, undefined, Promise.resolve(true)]) {
      const asked: unknown[][] = []
      const { access, failures } = setup({ authorize: (...given: unknown[]) => { asked.push(given); return answer as never } })
      t.ok(access.isNarrowed)
      for (const [who, expected] of viewers) {
        for (const question of questions) t.equal(access.allows(who, question), answer === true && expected(question), `${String(answer)} ${who.id} ${JSON.stringify(question)}`)
      }
      t.strictSame(asked, viewers.flatMap(([who, expected]) => questions.filter(expected).map((question) => [who.principal, question])), 'it is not asked for what can not be theirs')
      t.equal(failures.length, answer instanceof Promise ? asked.length : 0)
    }
  })

  t.test('nothing if authorize throws or rejects', async (t) => {
    for (const authorize of [() => { throw new Error('broken') }, async () => { throw new Error('broken') }] as never[]) {
      const { access, failures } = setup({ authorize })
      t.notOk(access.allows(viewer('operator'), { action: 'start' }))
      t.equal(failures.length, 1)
    }
  })
})
