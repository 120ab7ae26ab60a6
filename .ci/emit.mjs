// Writes what follows from the sources: JSON Schema for other languages, and the tables in the README and in docs/.
// With --check it writes nothing, names what has drifted and exits 1. Works on the build in dist/ of the current folder.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { httpSchema, messagesSchema } from './emit/json-schema.mjs'
import { openApiOf } from './emit/openapi.mjs'
import { fillSection, firstDifference } from './emit/sections.mjs'
import { checksTable, closeCodesTable, codesTable, errorsTable, optionsTable } from './emit/tables.mjs'

const isCheck = process.argv.includes('--check')
const load = (path) => import(pathToFileURL(resolve(path)).href)
const [schemas, http, { describeBounds }, errors, jsonSchema, { createAsyncApi }, { default: missionControl }, { CHECKS }] = await Promise.all([
  'dist/schemas/index.js', 'dist/schemas/http.js', 'dist/lib/base/options.js', 'dist/lib/base/errors.js', 'dist/lib/contract/json-schema.js', 'dist/lib/contract/asyncapi.js',
  'dist/lib/index.js', 'dist/lib/conformance/checks/index.js'
].map(load))
const { CLIENT_MESSAGES, SERVER_MESSAGES, MissionQuery, MissionView, Options } = schemas
const { websocket: { properties: { path } }, server: { properties: { name, version } } } = Options.properties

const whole = {
  'schemas/json/client-messages.json': messagesSchema('client', CLIENT_MESSAGES, jsonSchema),
  'schemas/json/server-messages.json': messagesSchema('server', SERVER_MESSAGES, jsonSchema),
  'schemas/json/http.json': httpSchema({ ...http, MissionQuery, MissionView }, jsonSchema),
  'schemas/json/asyncapi.json': createAsyncApi({ address: path.default, server: { name: name.default, version: version.default } }),
  'schemas/json/openapi.json': await openApiOf(missionControl)
}
const sections = {
  'README.md': {
    options: optionsTable(schemas.Options, schemas.ENVIRONMENT, describeBounds)
  },
  'docs/protocol.md': {
    'protocol-errors': codesTable(schemas.PROTOCOL_ERRORS),
    'subscription-errors': codesTable(schemas.SUBSCRIPTION_ERRORS),
    'close-codes': closeCodesTable(schemas.CLOSE_CODES)
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
  if (before === undefined) return problems.push(`${path} is missing; it takes the tables ${Object.keys(tables).join(', ')}`)
  let after = before
  for (const [marker, table] of Object.entries(tables)) {
    const filled = fillSection(after, marker, table)
    if (filled === undefined) problems.push(`${path} must hold <!-- ${marker} --> and, after it, <!-- /${marker} -->, each once`)
    else after = filled
  }
  put(path, before, after)
}

function put (path, before, after) {
  if (before === after) return
  if (isCheck) return problems.push(`${path} has drifted from the sources (${firstDifference(before, after)}); run npm run schemas and commit it`)
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
