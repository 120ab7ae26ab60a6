import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { boot } from './support/app.js'
import { connect } from './support/client.js'

/** Where a client may find what the host has reported. */
type Surface = 'update' | 'snapshot' | 'mission_get' | 'list' | 'one' | 'metrics' | 'health' | 'log'

const canary = (field: string): string => `canary-${field}`

const FIELDS = ['tag', 'tenant', 'metadata', 'objective', 'name', 'note', 'note-data', 'task', 'plan', 'waiting', 'error', 'code', 'cause', 'cause-code', 'stack', 'property']

/** Reports a canary in each field of a mission that ends, and in those that only an active mission has. */
function report (app: FastifyInstance, id: string): void {
  const mission = app.missions.start({ id, name: canary('name'), objective: canary('objective'), tags: [canary('tag')], tenant: canary('tenant') })
  mission.annotate({ secret: canary('metadata') })
  mission.tasksGenerated([{ id: canary('task') }])
  mission.planned({ steps: canary('plan') })
  mission.note(canary('note'), { data: canary('note-data') })
  mission.waiting(canary('waiting'))
}

function fail (app: FastifyInstance, id: string): void {
  const cause = Object.assign(new Error(canary('cause')), { code: canary('cause-code') })
  const error = Object.assign(new Error(canary('error'), { cause }), { code: canary('code'), secret: canary('property') })
  error.stack = canary('stack')
  app.missions.get(id)!.fail(error)
}

async function observe (t: Test): Promise<Record<Surface, string[]>> {
  const lines: string[] = []
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const app = await boot(t, { clock, routes: { missions: '/missions' } }, { logger: { level: 'debug', stream: { write: (line: string) => { lines.push(line) } } } })
  const viewer = await connect(app)
  await viewer.subscribe('mission_update')
  for (const id of ['active', 'failed']) report(app, id)
  clock.advance(1_000)
  fail(app, 'failed')
  await viewer.settle()
  const late = await connect(app)
  late.send({ type: 'subscribe', channels: ['mission_update'], snapshot: true, endings: 10 })
  await late.settle()
  const asker = await connect(app)
  for (const missionId of ['active', 'failed']) asker.send({ type: 'mission_get', missionId })
  await asker.settle()
  const read = async (url: string) => (await app.inject(url)).body
  const texts: Record<Surface, string> = {
    update: JSON.stringify(viewer.received),
    snapshot: JSON.stringify(late.received),
    mission_get: JSON.stringify(asker.received),
    list: await read('/missions'),
    one: await read('/missions/active') + await read('/missions/failed'),
    metrics: await read('/api/v1/metrics/prometheus') + await read('/mission-control/ws-metrics'),
    health: await read('/health?details=true'),
    log: lines.join('')
  }
  const found = (text: string) => FIELDS.filter((field) => text.includes(`${canary(field)}"`))
  return Object.fromEntries(Object.entries(texts).map(([surface, text]) => [surface, found(text)])) as Record<Surface, string[]>
}

/** The fields of each row of the table in the docs, by its first cell. */
const ROWS: Record<string, string[]> = {
  'The name and the tags': ['name', 'tag'],
  'The objective': ['objective'],
  'The metadata': ['metadata'],
  'Notes with their data, and the reason to wait': ['note', 'note-data', 'waiting'],
  '`tasksSummary` and `planningSession`': ['task', 'plan'],
  '`tenant`': ['tenant'],
  'The code and the message of an error, and the [codes of its causes](missions.md#why-a-mission-failed)': ['code', 'error', 'cause-code'],
  'Stacks, messages of causes and other properties of an error': ['stack', 'cause', 'property']
}

/** What the docs say of each field: whether it is in updates, in snapshots and over HTTP. */
function readDocs (): Array<{ fields: string[], isIn: boolean[] }> {
  const text = readFileSync(new URL('../docs/operations.md', import.meta.url), 'utf8')
  const section = text.slice(text.indexOf('\n## What clients see of a mission'))
  const lines = section.slice(0, section.indexOf('\n\nIds, ')).split('\n').filter((line) => line.startsWith('| ')).slice(2)
  return lines.map((line) => {
    const [first, ...cells] = line.slice(2, -2).split(' | ')
    return { fields: ROWS[first!]!, isIn: cells.map((cell) => cell.startsWith('yes')) }
  })
}

t.test('clients see of a mission what the docs say, and nothing else', async (t) => {
  const rows = readDocs()
  t.strictSame(rows.flatMap(({ fields }) => fields).sort(), [...FIELDS].sort(), 'the table has every field')
  const documented = (column: number) => FIELDS.filter((field) => rows.some(({ fields, isIn }) => fields.includes(field) && isIn[column]))
  const [updates, snapshots, http] = [0, 1, 2].map(documented)
  t.strictSame(await observe(t), {
    update: updates, snapshot: snapshots, mission_get: snapshots, list: http, one: http, metrics: [], health: [], log: []
  })
})
