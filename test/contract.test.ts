import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Parser, type AsyncAPIDocumentInterface } from '@asyncapi/parser'
import swagger from '@fastify/swagger'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv } from 'ajv'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createAsyncApi } from '../lib/contract/asyncapi.js'
import { toJsonSchema } from '../lib/contract/json-schema.js'
import { REPLIES, UNSOLICITED } from '../lib/contract/replies.js'
import missionControl from '../lib/index.js'
import { CHANNEL_NAMES, CHANNEL_PAYLOADS, CLIENT_MESSAGES, CLOSE_CODES, Options, PROTOCOL_ERRORS, SERVER_MESSAGES, SUBSCRIPTION_ERRORS, type ClientMessageType } from '../schemas/index.js'
import * as http from '../schemas/http.js'
import { boot } from './support/app.js'
import { connect } from './support/client.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const emitted = (name: string) => JSON.parse(readFileSync(resolve(root, 'schemas/json', name), 'utf8')) as Record<string, unknown>
const ROUTE = '/mission-control/asyncapi.json'

/** Diagnostics of the parser that are accepted, each with the reason. */
const ACCEPTED: Record<string, string> = {
  'asyncapi-latest-version': 'generators and viewers support 3.0.0, and this document needs nothing that 3.1.0 adds'
}

/** The document as generators of other languages read it. Any other diagnostic of the parser fails the test. */
async function parse (t: Test, text: string): Promise<AsyncAPIDocumentInterface> {
  const { document, diagnostics } = await new Parser().parse(text)
  for (const { code, message, path } of diagnostics) {
    const reason = ACCEPTED[String(code)]
    if (reason === undefined) t.fail(`${code}: ${message} at ${path.join('.')}`)
    else t.comment(`accepted: ${code}, because ${reason}`)
  }
  if (document === undefined) throw new Error('the parser returned no document')
  return document
}

t.test('the AsyncAPI document', async (t) => {
  const document = await parse(t, JSON.stringify(createAsyncApi({ address: '/live', server: { name: 'imports', version: '1.4.0' } })))
  const [channel] = document.channels().all()
  const operations = document.operations().all()

  t.test('has version 3.0.0, the name of the service, and one channel with the address of the WebSocket route', async (t) => {
    t.equal(document.version(), '3.0.0')
    t.strictSame([document.info().title(), document.info().version()], ['imports', '1.4.0'])
    t.equal(document.channels().all().length, 1)
    t.equal(channel!.address(), '/live')
    t.ok(channel!.bindings().get('ws'))
  })

  t.test('contains every message of both sides with its description, wire type and correlation id', async (t) => {
    const messages = channel!.messages().all()
    t.strictSame(messages.filter((message) => message.id().endsWith('Request')).map((message) => message.name()), Object.keys(CLIENT_MESSAGES))
    t.strictSame(messages.filter((message) => message.id().endsWith('Message')).map((message) => message.name()), Object.keys(SERVER_MESSAGES))
    for (const message of messages) {
      t.match(message.summary(), /^[A-Z].+\.$/, message.id())
      t.match(message.payload()!.json(), { title: message.id(), properties: { type: { const: message.name() } } })
      t.equal(message.correlationId()!.location(), message.id().endsWith('Request') ? '$message.payload#/id' : '$message.payload#/replyTo')
    }
  })

  t.test('describes every schema and defines one named type per channel payload', async (t) => {
    const schemas = document.components().schemas().all()
    for (const schema of schemas) t.match(schema.description(), /^[A-Z].+\.$/, schema.id())
    t.equal(schemas.filter((schema) => schema.id().endsWith('Payload')).length, CHANNEL_NAMES.length)
  })

  t.test('has a receive operation with the possible replies for every client message', async (t) => {
    const received = operations.filter((operation) => operation.isReceive())
    t.strictSame(received.map((operation) => operation.messages().all()[0]!.name()), Object.keys(CLIENT_MESSAGES))
    for (const operation of received) {
      const [message] = operation.messages().all()
      t.strictSame(operation.reply()!.messages().all().map((reply) => reply.name()), [...REPLIES[message!.name() as ClientMessageType]], operation.id() ?? '')
    }
  })

  t.test('uses every server message in a send operation or as a reply', async (t) => {
    const sent = operations.filter((operation) => operation.isSend()).map((operation) => operation.messages().all()[0]!.name()!)
    t.strictSame(sent, [...UNSOLICITED])
    t.strictSame([...new Set([...sent, ...Object.values(REPLIES).flat()])].sort(), Object.keys(SERVER_MESSAGES).sort())
  })

  t.test('lists all close codes and error codes', async (t) => {
    const extensions = channel!.extensions()
    t.strictSame((extensions.get('x-close-codes')!.value() as Array<{ code: number, reason: string }>).map(({ code, reason }) => [reason, code]),
      Object.entries(CLOSE_CODES).map(([reason, { code }]) => [reason, code]))
    t.strictSame(extensions.get('x-protocol-errors')!.value(), { ...PROTOCOL_ERRORS })
    t.strictSame(extensions.get('x-subscription-errors')!.value(), { ...SUBSCRIPTION_ERRORS })
  })

  t.test('validates the messages of a running service', async (t) => {
    const { components } = document.json() as { components: { schemas: Record<string, object> } }
    const ajv = new Ajv({ strict: false, logger: false, schemas: [{ $id: 'doc', ...document.json<object>() }] })
    const client = await connect(await boot(t))
    client.send({ type: 'subscribe', channels: [...CHANNEL_NAMES, 'none'], id: 's' }).send({ type: 'whoami' }).send({ type: 'mission_cancel', missionId: 'none' })
    client.send('no json')
    await client.settle()
    t.ok(client.received.length > 8)
    for (const message of client.received) {
      const name = `${message.type.split('_').map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')}Message`
      t.ok(components.schemas[name], name)
      t.ok(ajv.validate({ $ref: `doc#/components/schemas/${name}` }, message), ajv.errorsText())
      t.notOk(ajv.validate({ $ref: `doc#/components/schemas/${name}` }, { ...message, unix: '1' }), 'a changed field is invalid')
    }
  })
})

t.test('the AsyncAPI route', async (t) => {
  t.test('serves one constant document with the configured name of the service and the full path', async (t) => {
    const app = await boot(t, { prefix: '/ops', websocket: { path: '/live' }, server: { name: 'imports', version: '1.4.0' } })
    const response = await app.inject(`/ops${ROUTE}`)
    t.match(response.headers, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    const document = await parse(t, response.body)
    t.equal(document.channels().all()[0]!.address(), '/ops/live')
    t.equal(document.info().title(), 'imports')
    t.strictSame(response.json(), JSON.parse(JSON.stringify(createAsyncApi({ address: '/ops/live', server: { name: 'imports', version: '1.4.0' } }))))
    t.equal((await app.inject(`/ops${ROUTE}`)).body, response.body)
  })

  t.test('follows the prefixes around the plugin, and can be moved or disabled', async (t) => {
    const nested = Fastify()
    t.teardown(() => nested.close())
    await nested.register(async (scope) => { await scope.register(missionControl, { prefix: '/b', routes: { asyncapi: '/wire.json' } }) }, { prefix: '/a' })
    t.match((await nested.inject('/a/b/wire.json')).json(), { channels: { missionControl: { address: '/a/b/ws/mission-control' } } })
    const disabled = await boot(t, { routes: { asyncapi: false } })
    t.equal((await disabled.inject(ROUTE)).statusCode, 404)
  })

  t.test('runs the onRequest hooks of the plugin first', async (t) => {
    const app = await boot(t, { onRequest: async (_request, reply) => { await reply.code(401).send({ error: 'no' }) } })
    t.equal((await app.inject(ROUTE)).statusCode, 401)
  })

  t.test('does not use the serializers of the host, nor does the Prometheus route', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.setSerializerCompiler(() => () => 'not for these schemas')
    await app.register(missionControl)
    t.match((await app.inject(ROUTE)).json(), { asyncapi: '3.0.0' })
    t.match((await app.inject('/api/v1/metrics/prometheus')).body, /^# HELP/)
  })
})

t.test('the OpenAPI document of a host', async (t) => {
  const PATHS = [
    'get /api/v1/metrics/prometheus', 'get /health', 'get /mission-control/asyncapi.json', 'get /mission-control/missions',
    'get /mission-control/missions/{id}', 'get /mission-control/ws-metrics', 'post /mission-control/missions/{id}/cancel'
  ]
  type Paths = Record<string, Record<string, { summary: string, tags: string[], responses: Record<string, { content: Record<string, unknown> }>, parameters?: Array<{ name: string }> }>>

  async function host (t: Test, openapi: object): Promise<FastifyInstance> {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(swagger, { openapi: { info: { title: 'host', version: '1.0.0' }, ...openapi } })
    await app.register(missionControl, { routes: { missions: '/mission-control/missions' } })
    await app.ready()
    return app
  }

  for (const [version, openapi] of [['3.0', {}], ['3.1', { openapi: '3.1.0' }]] as const) {
    t.test(`of version ${version} is valid and contains every route except the WebSocket route`, async (t) => {
      const document = (await host(t, openapi)).swagger()
      const validator = new Validator()
      t.match(await validator.validate(JSON.parse(JSON.stringify(document)) as { openapi: string }), { valid: true })
      t.equal(validator.version, version)
      const paths = document.paths as unknown as Paths
      const operations = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, operation })))
      t.strictSame(operations.map(({ name }) => name).sort(), PATHS)
      for (const { name, operation } of operations) {
        t.match(operation, { summary: /^[A-Z]/, tags: ['mission-control'] }, name)
        for (const [status, { content }] of Object.entries(operation.responses)) t.ok(Object.keys(content).length > 0, `${name} ${status}`)
      }
      t.strictSame(Object.keys(paths['/api/v1/metrics/prometheus']!['get']!.responses['200']!.content), ['text/plain', 'application/openmetrics-text'])
      t.strictSame(paths['/health']!['get']!.parameters!.map(({ name }) => name), ['details', 'probe'])
    })
  }

  t.test('is also part of the package', async (t) => {
    const document = emitted('openapi.json')
    t.match(await new Validator().validate(document as { openapi: string }), { valid: true })
    t.strictSame(Object.entries(document['paths'] as Paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`)).sort(), PATHS)
  })
})

t.test('the emitted files', async (t) => {
  t.test('include the AsyncAPI document of a service with default options', async (t) => {
    const { websocket, server } = Options.properties
    const { name, version } = server.properties
    const deps = { address: websocket.properties.path.default as string, server: { name: name.default as string, version: version.default as string } }
    t.strictSame(emitted('asyncapi.json'), JSON.parse(JSON.stringify(createAsyncApi(deps))))
    await parse(t, readFileSync(resolve(root, 'schemas/json/asyncapi.json'), 'utf8'))
  })

  t.test('define every HTTP query and response, and the responses of a running service match', async (t) => {
    const document = emitted('http.json')
    t.strictSame(Object.keys(document['definitions'] as object), [...Object.keys(http), 'MissionQuery', 'MissionView'].sort())
    const ajv = new Ajv({ strict: false, schemas: [document] })
    const fits = (name: string, value: unknown) => t.ok(ajv.validate({ $ref: `urn:fastify-mission-control:http#/definitions/${name}` }, value), `${name}: ${ajv.errorsText()}`)
    const app = await boot(t, { routes: { missions: '/missions' } })
    app.missions.handle({ cancel: {} })
    const { id } = app.missions.start({ name: 'import' })
    fits('WsMetricsResponse', (await app.inject('/mission-control/ws-metrics')).json())
    fits('HealthResponse', (await app.inject('/health?details=true')).json())
    fits('ProbeResponse', (await app.inject('/health?probe=live')).json())
    fits('MissionListResponse', (await app.inject('/missions')).json())
    fits('MissionView', (await app.inject(`/missions/${id}`)).json())
    fits('ErrorResponse', (await app.inject('/missions/none')).json())
    fits('CancelResponse', (await app.inject({ method: 'POST', url: `/missions/${id}/cancel` })).json())
    t.notOk(ajv.validate({ $ref: 'urn:fastify-mission-control:http#/definitions/MissionListResponse' }, { missions: [{}], nextCursor: null }), 'references to other definitions are resolved')
  })
})

t.test('schemas are converted to forms that generators of other languages support', async (t) => {
  t.strictSame(toJsonSchema(CHANNEL_PAYLOADS.health_delta).properties, {
    ...toJsonSchema(CHANNEL_PAYLOADS.health_delta).properties as object,
    status: { type: 'string', enum: ['healthy', 'degraded', 'critical', 'unknown'] }
  })
  t.strictSame(toJsonSchema({ type: 'object', patternProperties: { '^[0-9]+$': { type: 'string' }, '^(.*)$': {} } } as never),
    { type: 'object', patternProperties: { '^[0-9]+$': { type: 'string' }, '^(.*)$': {} } })
  t.strictSame(toJsonSchema({ type: 'object', patternProperties: { '^[0-9]+$': { type: 'string' } } } as never),
    { type: 'object', patternProperties: { '^[0-9]+$': { type: 'string' } } })
})
