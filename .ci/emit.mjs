// Generates files from the build in dist/ of the current folder: JSON Schema for other languages, and the tables in docs/.
// With --check it writes nothing, names the files that have drifted and exits with 1.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { httpSchema, messagesSchema } from './emit/json-schema.mjs'
import { openApiOf } from './emit/openapi.mjs'
import { metricsTables } from './emit/metrics.mjs'
import { fillSection, firstDifference } from './emit/sections.mjs'
import { checksTable, closeCodesTable, codesTable, errorsTable, groupOptionsTable, optionsTables, ruleOptionsTable } from './emit/tables.mjs'

const isCheck = process.argv.includes('--check')
const load = (path) => import(pathToFileURL(resolve(path)).href)
const schemas = await load('dist/schemas/index.js')
const http = await load('dist/schemas/http.js')
const { describeBounds } = await load('dist/lib/base/options.js')
const errors = await load('dist/lib/base/errors.js')
const jsonSchema = await load('dist/lib/contract/json-schema.js')
const { createAsyncApi } = await load('dist/lib/contract/asyncapi.js')
const { default: missionControl } = await load('dist/lib/index.js')
const { describeSections } = await load('dist/lib/prometheus/metrics/plugin-metrics.js')
const { describeScrape } = await load('dist/lib/prometheus/metrics/process-metrics.js')
const { CHECKS } = await load('dist/lib/conformance/checks/index.js')
const { CLIENT_MESSAGES, SERVER_MESSAGES, MissionQuery, MissionView, Options } = schemas
const { adaptive, rules } = Options.properties.alerts.properties
const { websocket: { properties: { path } }, server: { properties: { name, version } } } = Options.properties

const whole = {
  'schemas/json/client-messages.json': messagesSchema('client', CLIENT_MESSAGES, jsonSchema),
  'schemas/json/server-messages.json': messagesSchema('server', SERVER_MESSAGES, jsonSchema),
  'schemas/json/http.json': httpSchema({ ...http, MissionQuery, MissionView }, jsonSchema),
  'schemas/json/asyncapi.json': createAsyncApi({ address: path.default, server: { name: name.default, version: version.default } }),
  'schemas/json/openapi.json': await openApiOf(missionControl)
}
const sections = {
  'docs/options.md': {
    options: optionsTables(schemas.Options, schemas.ENVIRONMENT, describeBounds)
  },
  'docs/operations.md': {
    'alert-options': ruleOptionsTable(rules, rules.properties.health_component),
    'adaptive-options': groupOptionsTable(adaptive)
  },
  'docs/protocol.md': {
    'protocol-errors': codesTable(schemas.PROTOCOL_ERRORS),
    'subscription-errors': codesTable(schemas.SUBSCRIPTION_ERRORS),
    'close-codes': closeCodesTable(schemas.CLOSE_CODES)
  },
  'docs/metrics.md': {
    metrics: metricsTables(describeSections, describeScrape)
  },
  'docs/conformance.md': {
    'conformance-checks': checksTable(CHECKS)
  },
  'docs/errors.md': {
    'error-codes': errorsTable(errors, readFileSync('dist/lib/base/errors.d.ts', 'utf8'))
  }
}

const problems = []
for (const [path, value] of Object.entries(whole)) put(path, read(path), JSON.stringify(value, null, 2) + '\n')
for (const [path, tables] of Object.entries(sections)) putSections(path, tables)
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1

function putSections (path, tables) {
  const before = read(path)
  if (before === undefined) return problems.push(`${path} is missing; it needs the tables ${Object.keys(tables).join(', ')}`)
  let after = before
  for (const [marker, table] of Object.entries(tables)) {
    const filled = fillSection(after, marker, table)
    if (filled === undefined) problems.push(`${path} must contain <!-- ${marker} --> and, after it, <!-- /${marker} -->, each exactly once`)
    else after = filled
  }
  put(path, before, after)
}

function put (path, before, after) {
  if (before === after) return
  if (isCheck) return problems.push(`${path} has drifted from the sources (${firstDifference(before, after)}); run npm run schemas and commit the result`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, after)
  console.log(`${path} written`)
}

function read (path) {
  try {
    return readFileSync(path, 'utf8')
  } catch (err) {
    if (err.code === 'ENOENT') return undefined
    throw err
  }
}
