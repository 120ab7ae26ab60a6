import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { boot } from './support/app.js'
import { root } from './support/sources.js'

/** Everything that a host can reach, by the interface that declares it. A new member needs a place here and in the docs. */
const MEMBERS = {
  Missions: [
    'run', 'spawn', 'start', 'current', 'report', 'waiting', 'note', 'get', 'list', 'views', 'stats', 'cancel', 'subscribe', 'waitFor', 'handle', 'on'
  ],
  Mission: [
    'id', 'name', 'objective', 'tags', 'tenant', 'parentId', 'attempt', 'isTracked', 'queuedAt', 'startedAt', 'status', 'isTerminal', 'isStalled', 'metadata', 'signal',
    'log', 'done', 'outcome', 'onEnd', 'report', 'tasksGenerated', 'planned', 'executionStarted', 'progress', 'complete', 'fail',
    'cancelled', 'settled', 'task', 'child', 'setParent', 'retry', 'annotate', 'note', 'heartbeat', 'waiting', 'extendTimeout', 'cancel', 'view', 'toJSON',
    '[Symbol.asyncDispose]'
  ],
  Monitoring: ['trackOperation', 'time', 'addHealthCheck', 'reportHealth', 'health', 'latency', 'operationLatencies', 'operations', 'alerts', 'silence', 'on'],
  MissionControl: ['wsMetrics', 'metrics', 'publish', 'revoke', 'drain']
} as const

const DECLARATIONS: Record<keyof typeof MEMBERS, string> = {
  Missions: 'dist/lib/missions/missions.d.ts',
  Mission: 'dist/lib/missions/mission.d.ts',
  Monitoring: 'dist/lib/monitoring/monitoring.d.ts',
  MissionControl: 'dist/lib/mission-control.d.ts'
}

const sorted = (names: Iterable<string>): string[] => [...names].sort()

/** Returns the names of all members of an object, inherited ones included, except those of every object. */
function membersOf (object: object): string[] {
  const names = new Set<string>()
  for (let level = object; level !== Object.prototype; level = Object.getPrototypeOf(level) as object) {
    for (const key of Reflect.ownKeys(level)) {
      // The description of this symbol differs between versions of Node.
      if (key !== 'constructor') names.add(key === Symbol.asyncDispose ? '[Symbol.asyncDispose]' : String(key))
    }
  }
  return sorted(names)
}

t.test('an object of the public API has the documented members at run time, and no others', async (t) => {
  const app = await boot(t)
  const mission = app.missions.start('job')
  t.strictSame(membersOf(app.missions), sorted(MEMBERS.Missions))
  t.strictSame(membersOf(mission), sorted(MEMBERS.Mission))
  t.strictSame(membersOf(app.monitoring), sorted(MEMBERS.Monitoring))
  t.strictSame(membersOf(app.missionControl), sorted(MEMBERS.MissionControl))
  t.strictSame(membersOf(app.missionControl.metrics), ['render'])
  t.strictSame(Object.keys(mission), [], 'a logged mission shows no internal state')
})

t.test('every way to a mission returns the handle with the documented members', async (t) => {
  const app = await boot(t)
  const started = app.missions.start({ id: 'a', name: 'job' })
  const ended: unknown[] = []
  app.missions.on('mission_ended', (mission) => { ended.push(mission) })
  const spawned = app.missions.spawn('job', () => {})
  const [received, current] = await app.missions.run('job', (mission) => [mission, app.missions.current()!])
  await spawned.done
  for (const mission of [app.missions.get('a')!, started.child('part'), spawned, received!]) {
    t.strictSame(membersOf(mission), sorted(MEMBERS.Mission))
  }
  t.equal(app.missions.get('a'), started)
  t.equal(current, received)
  t.strictSame(ended, [spawned, received])
})

t.test('a mission is its view in JSON, so that a reply or a log line shows it', async (t) => {
  const app = await boot(t)
  const mission = app.missions.start({ id: 'a', name: 'job', metadata: { rows: 1 } })
  t.strictSame(JSON.parse(JSON.stringify({ mission })), { mission: JSON.parse(JSON.stringify(mission.view())) })
})

t.test('the methods of the decorators need no this', async (t) => {
  const app = await boot(t)
  const { start, list, stats } = app.missions
  const { trackOperation, operations, latency, health } = app.monitoring
  const { wsMetrics, metrics: { render } } = app.missionControl
  start('job').complete()
  trackOperation({ component: 'db', operation: 'read', status: 'success', durationMs: 5 })
  t.equal(list().missions.length, 1)
  t.match(stats(), { completed: 1 })
  t.equal(operations().series.length, 1)
  t.match(latency(), { count: 1 })
  t.match(health(), { status: 'unknown', components: {} })
  t.type(wsMetrics().connectionsOpen, 'number')
  t.match(await render(), { body: /oneagent_mission/ })
})

/** Returns the members of an interface in an emitted declaration file; it must extend nothing, or members would be hidden here. */
function declaredMembers (path: string, name: string): string[] {
  const source = ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true)
  const declarations = source.statements.filter((node) => ts.isInterfaceDeclaration(node)).filter((node) => node.name.text === name)
  const [declaration] = declarations
  if (declaration === undefined || declarations.length > 1) throw new Error(`${path} must declare the interface ${name} once`)
  if (declaration.heritageClauses !== undefined) throw new Error(`${name} must not extend another type`)
  return sorted(new Set(declaration.members.map((member) => member.name?.getText() ?? member.getText())))
}

t.test('the emitted types declare the documented members, and no others', async (t) => {
  for (const [name, members] of Object.entries(MEMBERS)) {
    const path = DECLARATIONS[name as keyof typeof MEMBERS]
    t.strictSame(declaredMembers(path, name), sorted(members), path)
  }
  const plugin = readFileSync(join(root, 'dist/lib/index.d.ts'), 'utf8')
  for (const decorator of ['missions: HostMissions', 'monitoring: Monitoring', 'missionControl: MissionControl']) {
    t.match(plugin, `${decorator};`)
  }
})

t.test('the documentation names every member', async (t) => {
  const read = (path: string): string => readFileSync(join(root, path), 'utf8')
  const missionsPage = read('docs/missions.md')
  const allPages = ['README.md', 'docs/missions.md', 'docs/operations.md'].map(read).join('\n')
  const calls: Array<[object: string, members: readonly string[], text: string]> = [
    ['mission', MEMBERS.Mission, missionsPage],
    ['app.missions', MEMBERS.Missions, allPages],
    ['app.monitoring', MEMBERS.Monitoring, allPages],
    ['app.missionControl', MEMBERS.MissionControl, allPages]
  ]
  for (const [object, members, text] of calls) {
    const names = members.map((member) => member.startsWith('[') ? `${object}${member}` : `${object}.${member}`)
    t.strictSame(names.filter((name) => !isNamed(name, text)), [])
  }
})

/** Whether a text contains a name as a whole: `mission.cancel` is not named by `mission.cancelled`. */
function isNamed (name: string, text: string): boolean {
  const pattern = name.replace(/[.[\]]/g, '\\$&')
  return new RegExp(`(?<![\\w.])${pattern}(?!\\w)`).test(text)
}
