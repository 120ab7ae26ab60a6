import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import type { MissionError } from '../schemas/index.js'
import { boot } from './support/app.js'
import { connect } from './support/client.js'
import { build, findStreamFaults } from './support/missions.js'

/** Text of a cause or of a hidden property, which must never reach a client. */
const CANARY = 'canary 10.0.0.7'

type Row = [title: string, thrown: unknown, expected: MissionError]

const error = (message: string, properties: object = {}): Error => Object.assign(new Error(message), properties)
const hidden = (properties: object = {}): Error => error(CANARY, properties)
const caused = (message: string, cause: unknown): Error => new Error(message, { cause })

/** Nests `inner` in one cause per code; the first code is the outermost. */
const chain = (codes: ReadonlyArray<string | number | undefined>): Error =>
  codes.reduceRight<Error>((cause, code) => hidden({ cause, ...(code !== undefined && { code }) }), hidden())

/** Nests an error in `depth` aggregates without a message. */
const nested = (depth: number): unknown => depth === 0 ? error('innermost', { code: 'E_INNER' }) : new AggregateError([nested(depth - 1)])

function cyclic (code: string): Error {
  const cause = hidden({ code })
  return Object.assign(cause, { cause: caused(CANARY, cause) })
}

class HttpError extends Error {
  override name = 'NotFoundError'
  status = 404
  statusCode = 404
}

const CODES: Row[] = [
  ['a text', { code: 'ENOSPC', message: 'm' }, { code: 'ENOSPC', message: 'm' }],
  ['a text with spaces', { code: 'out of paper', message: 'm' }, { code: 'out of paper', message: 'm' }],
  ['64 characters', { code: 'c'.repeat(64), message: 'm' }, { code: 'c'.repeat(64), message: 'm' }],
  ['65 characters', { code: 'c'.repeat(65), message: 'm' }, { code: `${'c'.repeat(63)}…`, message: 'm' }],
  ['a surrogate pair at the cut', { code: `${'c'.repeat(62)}😀😀`, message: 'm' }, { code: `${'c'.repeat(62)}…`, message: 'm' }],
  ['line breaks and control characters', { code: ' \0E\r\n\u2028FOO\u202e\x1b ', message: 'm' }, { code: 'E FOO', message: 'm' }],
  ['half of a surrogate pair', { code: 'E\ud800', message: 'm' }, { code: 'E', message: 'm' }],
  ['nothing printable, so the next rule applies', error('m', { code: '\n\0', name: 'Named' }), { code: 'Named', message: 'm' }],
  ['an empty text, so the next rule applies', error('m', { code: '', name: 'Named' }), { code: 'Named', message: 'm' }],
  ['a number', error('m', { code: 4 }), { code: '4', message: 'm' }],
  ['zero', error('m', { code: 0 }), { code: '0', message: 'm' }],
  ['a BigInt', error('m', { code: 4n }), { code: '4', message: 'm' }],
  ['a long BigInt', error('m', { code: 10n ** 70n }), { code: `1${'0'.repeat(62)}…`, message: 'm' }],
  ['no finite number, so the next rule applies', error('m', { code: NaN, name: 'Named' }), { code: 'Named', message: 'm' }],
  ['an object, so the next rule applies', error('m', { code: { CANARY }, name: 'Named' }), { code: 'Named', message: 'm' }],
  ['that of the error rather than that of its cause', error('m', { code: 'TOP', cause: hidden({ code: 'E_CAUSE' }) }), { code: 'TOP', message: 'm', causes: ['E_CAUSE'] }],
  ['that of the cause', caused('m', hidden({ code: 'E_CAUSE' })), { code: 'E_CAUSE', message: 'm', causes: ['E_CAUSE'] }],
  ['a number of the cause', caused('m', { code: 3 }), { code: '3', message: 'm', causes: ['3'] }],
  ['that of the first cause that has one', caused('m', chain([undefined, 'E_2', 'E_3'])), { code: 'E_2', message: 'm', causes: ['E_2', 'E_3'] }],
  ['that of the cause rather than a status', error('m', { status: 502, cause: hidden({ code: 'ECONNRESET' }) }), { code: 'ECONNRESET', message: 'm', causes: ['ECONNRESET'] }],
  ['a status', error('m', { status: 500 }), { code: '500', message: 'm' }],
  ['a statusCode', { statusCode: 404, message: 'm' }, { code: '404', message: 'm' }],
  ['a status rather than a name', new HttpError('m'), { code: '404', message: 'm' }],
  ['no status that is a text', error('m', { status: 'rejected', statusCode: 'x' }), { code: 'error', message: 'm' }],
  ['the name', new TypeError('m'), { code: 'TypeError', message: 'm' }],
  ['no name but "Error"', new Error('m'), { code: 'error', message: 'm' }],
  ['a long name', error('m', { name: 'N'.repeat(65) }), { code: `${'N'.repeat(63)}…`, message: 'm' }],
  ['the name rather than that of the cause', new TypeError('m', { cause: new RangeError(CANARY) }), { code: 'TypeError', message: 'm', causes: ['RangeError'] }],
  ['the name of the cause', caused('m', new RangeError(CANARY)), { code: 'RangeError', message: 'm', causes: ['RangeError'] }],
  ['the status of the cause', caused('m', hidden({ status: 503 })), { code: '503', message: 'm', causes: ['503'] }]
]

const VALUES: Row[] = [
  ['text', 'text', { code: 'error', message: 'text' }],
  ['an empty text', '', { code: 'error', message: 'unknown error' }],
  ['a number', 137, { code: '137', message: 'error code 137' }],
  ['zero', 0, { code: '0', message: 'error code 0' }],
  ['a BigInt', 10n, { code: '10', message: 'error code 10' }],
  ['undefined', undefined, { code: 'error', message: 'unknown error' }],
  ['null', null, { code: 'error', message: 'unknown error' }],
  ['NaN', NaN, { code: 'error', message: 'unknown error' }],
  ['a boolean', false, { code: 'error', message: 'unknown error' }],
  ['a symbol', Symbol(CANARY), { code: 'error', message: 'unknown error' }],
  ['a function', function canary () {}, { code: 'error', message: 'unknown error' }],
  ['an empty object', {}, { code: 'error', message: 'unknown error' }],
  ['a list', [hidden()], { code: 'error', message: 'unknown error' }],
  ['a status', { status: 500 }, { code: '500', message: 'error code 500' }],
  ['a code', { code: 42 }, { code: '42', message: 'error code 42' }],
  ['an error without a message', new RangeError(), { code: 'RangeError', message: 'error code RangeError' }],
  ['an error with a blank message', error(' \n'), { code: 'error', message: 'unknown error' }],
  ['a message that is not text', error('', { code: 'E', message: { CANARY } }), { code: 'E', message: 'error code E' }],
  ['an error without a message, but with a cause', caused('', hidden({ code: 'E' })), { code: 'E', message: 'error code E', causes: ['E'] }],
  ['a revoked proxy', revoked(), { code: 'error', message: 'unknown error' }],
  ['a proxy that throws', new Proxy({}, { get: () => { throw hidden() }, has: () => { throw hidden() }, getPrototypeOf: () => { throw hidden() } }), { code: 'error', message: 'unknown error' }],
  ['getters that throw, beside a code', { code: 'E', get message () { throw hidden() }, get name () { throw hidden() }, get cause () { throw hidden() }, get errors () { throw hidden() }, get status () { throw hidden() } }, { code: 'E', message: 'error code E' }],
  ['a list of errors that throws', error('', { code: 'E', errors: Object.defineProperty([1], 0, { get () { throw hidden() } }) }), { code: 'E', message: 'error code E' }]
]

const MESSAGES: Row[] = [
  ['of 2 KiB', 'x'.repeat(2_048), { code: 'error', message: 'x'.repeat(2_048) }],
  ['above 2 KiB', 'x'.repeat(2_049), { code: 'error', message: `${'x'.repeat(2_045)}…` }],
  ['above 2 KiB, in which a character would be split', `${'x'.repeat(2_044)}${'ü'.repeat(3)}`, { code: 'error', message: `${'x'.repeat(2_044)}…` }],
  ['with a stack beside it', error('m', { stack: CANARY }), { code: 'error', message: 'm' }]
]

const CAUSES: Row[] = [
  ['at most five', error('m', { cause: chain(['1', '2', '3', '4', '5', '6']) }), { code: '1', message: 'm', causes: ['1', '2', '3', '4', '5'] }],
  ['none of a code that is too far away', error('m', { cause: chain([undefined, undefined, undefined, undefined, undefined, 'E_6']) }), { code: 'error', message: 'm' }],
  ['without those that have no code', error('m', { cause: chain(['1', undefined, '3']) }), { code: '1', message: 'm', causes: ['1', '3'] }],
  ['of a cycle, each once', error('m', { cause: cyclic('E_CYCLE') }), { code: 'E_CYCLE', message: 'm', causes: ['E_CYCLE'] }],
  ['of an error that is its own cause', ((own) => Object.assign(own, { cause: own }))(error('m', { code: 'E' })), { code: 'E', message: 'm' }],
  ['of a getter that makes a new one each time', endless(), { code: 'E', message: 'm', causes: ['E', 'E', 'E', 'E', 'E'] }],
  ['of a text, which has no code', caused('m', CANARY), { code: 'error', message: 'm' }],
  ['cut to 64 characters', caused('m', { code: 'c'.repeat(65) }), { code: `${'c'.repeat(63)}…`, message: 'm', causes: [`${'c'.repeat(63)}…`] }],
  ['of an aggregate, without its parts', caused('m', new AggregateError([hidden()], CANARY)), { code: 'AggregateError', message: 'm', causes: ['AggregateError'] }],
  ['none of the parts of an aggregate', new AggregateError([caused('part', hidden({ code: 'E' }))]), { code: 'E', message: 'part' }],
  ['with the code of a part, if nothing else has one', caused('m', new AggregateError([hidden({ code: 'E_PART' })], CANARY)), { code: 'E_PART', message: 'm', causes: ['AggregateError'] }]
]

const AGGREGATES: Row[] = [
  ['without a message take the first message of their errors', new AggregateError([error(''), error('second'), error('third')]), { code: 'AggregateError', message: 'second' }],
  ['without a message take the first code of their errors', new AggregateError([error('first'), error('second', { code: 'E_2' })]), { code: 'E_2', message: 'first' }],
  ['with a message keep it', new AggregateError([hidden({ code: 'E_1' })], 'whole'), { code: 'E_1', message: 'whole' }],
  ['with a code keep it', error('', { code: 'E_WHOLE', errors: [error('part', { code: 'E_PART' })] }), { code: 'E_WHOLE', message: 'part' }],
  ['of texts', new AggregateError(['first']), { code: 'AggregateError', message: 'first' }],
  ['in aggregates', nested(3), { code: 'E_INNER', message: 'innermost' }],
  ['nested too deeply', nested(6), { code: 'AggregateError', message: 'error code AggregateError' }],
  ['that contain themselves', ((own) => { own.errors.push(own, error('part')); return own })(new AggregateError([])), { code: 'AggregateError', message: 'part' }],
  ['of many errors are read up to the 31st', new AggregateError([...Array.from({ length: 30 }, () => error('')), error('31st'), error('32nd')]), { code: 'AggregateError', message: '31st' }],
  ['of more errors without a message', new AggregateError([...Array.from({ length: 31 }, () => error('')), error(CANARY)]), { code: 'AggregateError', message: 'error code AggregateError' }],
  ['do not take the message of a cause', new AggregateError([caused('', hidden({ code: 'E' }))]), { code: 'E', message: 'error code E' }],
  ['without errors', error('', { errors: { CANARY } }), { code: 'error', message: 'unknown error' }]
]

/** Errors as libraries make them. What is not installed is built by hand. */
const LIBRARIES: Row[] = [
  ['DOMException: a time-out', new DOMException('x', 'TimeoutError'), { code: 'TimeoutError', message: 'x' }],
  ['DOMException: a quota', new DOMException('x', 'QuotaExceededError'), { code: 'QuotaExceededError', message: 'x' }],
  ['DOMException: a name without a legacy code', new DOMException('x', 'NotAllowedError'), { code: 'NotAllowedError', message: 'x' }],
  ['DOMException: no name', new DOMException('x'), { code: 'error', message: 'x' }],
  ['DOMException: no message', new DOMException('', 'AbortError'), { code: 'AbortError', message: 'error code AbortError' }],
  ['DOMException of another realm', runInNewContext("Object.assign(Object.create({ ABORT_ERR: 20 }), { code: 20, name: 'AbortError', message: 'x' })"), { code: 'AbortError', message: 'x' }],
  ['DOMException as a cause', caused('m', new DOMException(CANARY, 'AbortError')), { code: 'AbortError', message: 'm', causes: ['AbortError'] }],
  ['DOMException with a cause', Object.assign(new DOMException('m', 'AbortError'), { cause: hidden({ code: 'E' }) }), { code: 'AbortError', message: 'm', causes: ['E'] }],
  ['AbortController', abortReason(), { code: 'AbortError', message: 'This operation was aborted' }],
  ['undici', new TypeError('fetch failed', { cause: hidden({ code: 'ECONNREFUSED', address: CANARY }) }), { code: 'ECONNREFUSED', message: 'fetch failed', causes: ['ECONNREFUSED'] }],
  ['net with two addresses', Object.assign(new AggregateError(['::1', '127.0.0.1'].map((address) => error(`connect ECONNREFUSED ${address}:1`, { code: 'ECONNREFUSED' }))), { code: 'ECONNREFUSED' }), { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED ::1:1' }],
  ['AWS SDK v3', error('The key does not exist.', { name: 'NoSuchKey', $fault: 'client', $metadata: { httpStatusCode: 404 } }), { code: 'NoSuchKey', message: 'The key does not exist.' }],
  ['AWS SDK v2', error('The key does not exist.', { name: 'NoSuchKey', code: 'NoSuchKey', statusCode: 404 }), { code: 'NoSuchKey', message: 'The key does not exist.' }],
  ['gRPC', error('4 DEADLINE_EXCEEDED: Deadline exceeded', { code: 4, details: 'Deadline exceeded', metadata: {} }), { code: '4', message: '4 DEADLINE_EXCEEDED: Deadline exceeded' }],
  ['Prisma', error('Unique constraint failed', { name: 'PrismaClientKnownRequestError', code: 'P2002', meta: { target: CANARY } }), { code: 'P2002', message: 'Unique constraint failed' }],
  ['pg', error('duplicate key', { code: '23505', detail: CANARY, severity: 'ERROR' }), { code: '23505', message: 'duplicate key' }],
  ['MongoDB', error('E11000 duplicate key', { name: 'MongoServerError', code: 11_000 }), { code: '11000', message: 'E11000 duplicate key' }],
  ['Zod 4', error('[]', { name: 'ZodError', issues: [{ code: 'invalid_type', message: 'Required' }] }), { code: 'ZodError', message: '[]' }],
  ['Zod 3', error('[]', { name: 'ZodError', issues: [], get errors () { return [{ code: 'invalid_type', message: 'Required' }] } }), { code: 'ZodError', message: '[]' }],
  ['Fastify', error('body must be object', { name: 'FastifyError', code: 'FST_ERR_VALIDATION', statusCode: 400 }), { code: 'FST_ERR_VALIDATION', message: 'body must be object' }],
  ['axios', error('Request failed with status code 500', { name: 'AxiosError', code: 'ERR_BAD_RESPONSE', status: 500 }), { code: 'ERR_BAD_RESPONSE', message: 'Request failed with status code 500' }],
  ['OpenAI', error('429 too many', { status: 429, code: null }), { code: '429', message: '429 too many' }],
  ['fetch: a response', new Response(null, { status: 503 }), { code: '503', message: 'error code 503' }],
  ['a child process that a signal ended', error('Command failed', { code: null, killed: true, signal: 'SIGKILL' }), { code: 'SIGKILL', message: 'Command failed' }],
  ['a signal that is none', error('m', { signal: CANARY, name: 'Named' }), { code: 'Named', message: 'm' }]
]

function revoked (): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

function endless (message = 'm'): Error {
  return Object.defineProperty(error(message, { code: 'E' }), 'cause', { get: () => endless(CANARY) })
}

function abortReason (): unknown {
  const controller = new AbortController()
  controller.abort()
  return controller.signal.reason
}

/** The wire fields of an error. */
const onWire = ({ code, message, causes }: MissionError) => ({ error: message, errorCode: code, ...(causes !== undefined && { errorCauses: causes }) })

const TABLES: Array<[title: string, rows: Row[]]> = [
  ['the code is', CODES], ['any value can be thrown:', VALUES], ['a message', MESSAGES], ['the causes are', CAUSES], ['aggregates', AGGREGATES],
  ['the error of a library:', LIBRARIES]
]

for (const [title, rows] of TABLES) {
  t.test(`why a mission failed: ${title}`, async (t) => {
    for (const [what, thrown, expected] of rows) {
      const { missions, updates } = build()
      const mission = missions.start('job')
      mission.fail(thrown)
      t.strictSame(mission.view().error, expected, what)
      t.strictSame((await mission.done).error, expected, `${what}, in the outcome`)
      const { error, errorCode, errorCauses } = updates.at(-1)!
      t.strictSame({ error, errorCode, ...(errorCauses !== undefined && { errorCauses }) }, onWire(expected), `${what}, in the update`)
      t.strictSame(findStreamFaults(updates), [], `${what}, valid`)
      t.notMatch(JSON.stringify([updates, mission.view()]), /canary|mission-errors/, `${what}, nothing else`)
    }
  })
}

t.test('why a mission failed is the same for clients, in views and over HTTP', async (t) => {
  const app = await boot(t, { routes: { missions: '/missions' } })
  const client = await connect(app)
  await client.subscribe('mission_update')

  /** Runs work that throws `thrown` as a mission, and fails another one with it. */
  async function expectOnWire (t: Test, what: string, thrown: unknown, expected: { code: string, message: string | RegExp, causes?: string[] }): Promise<void> {
    const failed = app.missions.start('job')
    failed.fail(thrown)
    const ran = app.missions.spawn('job', () => { throw thrown })
    await ran.done
    for (const { id } of [failed, ran]) {
      const { payload } = await client.next('mission_update', ({ payload }) => payload.missionId === id && payload.status === 'error')
      t.match(payload.error, expected.message, what)
      t.strictSame([payload.errorCode, payload.errorCauses], [expected.code, expected.causes], what)
      const { error } = (await app.inject(`/missions/${id}`)).json()
      t.strictSame(onWire(error), onWire({ ...expected, message: payload.error! }), `${what}, over HTTP`)
    }
  }

  for (const [what, thrown, expected] of [...CODES, ...VALUES, ...LIBRARIES]) {
    if (thrown !== undefined) await expectOnWire(t, what, thrown, expected)
  }

  t.test('with the errors of Node.js itself', async (t) => {
    const thrownBy = (run: () => unknown) => Promise.resolve().then(run).then(() => t.fail('did not throw'), (err: unknown) => err)
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await once(server.close(), 'close')
    const refused = await thrownBy(() => fetch(`http://127.0.0.1:${port}`))
    await expectOnWire(t, 'fetch of a closed port', refused, { code: 'ECONNREFUSED', message: /^fetch failed$/, causes: ['ECONNREFUSED'] })
    const timeout = AbortSignal.timeout(1)
    if (!timeout.aborted) await once(timeout, 'abort')
    await expectOnWire(t, 'a time-out', timeout.reason, { code: 'TimeoutError', message: /./ })
    await expectOnWire(t, 'an aborted fetch', await thrownBy(() => fetch('http://127.0.0.1', { signal: AbortSignal.abort() })), { code: 'AbortError', message: /./ })
    const exit3 = ['-e', 'process.exit(3)']
    await expectOnWire(t, 'execFile', await thrownBy(() => promisify(execFile)(process.execPath, exit3)), { code: '3', message: /^Command failed/ })
    await expectOnWire(t, 'execFileSync', await thrownBy(() => execFileSync(process.execPath, exit3)), { code: '3', message: /^Command failed/ })
    await expectOnWire(t, 'fs', await thrownBy(() => readFile('/there/is/no/such/file')), { code: 'ENOENT', message: /^ENOENT/ })
    const any = () => Promise.any([Promise.reject(new Error('a')), Promise.reject(refused)])
    await expectOnWire(t, 'Promise.any', await thrownBy(any), { code: 'ECONNREFUSED', message: /^All promises were rejected$/ })
    await expectOnWire(t, 'Promise.any of nothing', await thrownBy(() => Promise.any([])), { code: 'AggregateError', message: /./ })
    await expectOnWire(t, 'JSON.parse', await thrownBy(() => JSON.parse('{')), { code: 'SyntaxError', message: /JSON/ })
    t.notMatch(JSON.stringify(client.received), `:${port}`, 'the cause of a failed fetch has an address in its text')
  })

  t.notMatch(JSON.stringify(client.received), 'canary')
  t.notMatch(JSON.stringify(client.received), 'mission-errors.test')
})

t.test('the causes of an error', async (t) => {
  const failing = () => caused('m', { code: 'E_CAUSE' })

  t.test('are copies, which the host cannot change', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    mission.fail(failing())
    mission.view().error!.causes!.push('mine')
    updates.at(-1)!.errorCauses!.push('mine')
    t.throws(() => mission.outcome!.error!.causes!.push('mine'), TypeError)
    t.strictSame(mission.view().error!.causes, ['E_CAUSE'])
  })

  t.test('are part of the ending that a late subscriber receives, and of the reply to mission_get', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    app.missions.start({ id: 'a', name: 'job' }).fail(failing())
    client.send({ type: 'subscribe', channels: ['mission_update'], endings: 1 })
    t.strictSame((await client.next('mission_update')).payload.errorCauses, ['E_CAUSE'])
    client.send({ type: 'mission_get', id: 'q', missionId: 'a' })
    t.strictSame((await client.next('mission_update', ({ replyTo }) => replyTo === 'q')).payload.errorCauses, ['E_CAUSE'])
  })

  t.test('are read after the serializer of the host, which can add or remove them', async (t) => {
    const shown: unknown[] = [failing(), { code: 'SHOWN', message: 'shown' }]
    const { missions } = build({ serializers: { error: () => shown.shift() } })
    const errors = ['a', 'b'].map((name) => {
      const mission = missions.start(name)
      mission.fail(hidden({ cause: hidden({ code: 'E_HIDDEN' }) }))
      return mission.view().error
    })
    t.strictSame(errors, [{ code: 'E_CAUSE', message: 'm', causes: ['E_CAUSE'] }, { code: 'SHOWN', message: 'shown' }])
  })
})
