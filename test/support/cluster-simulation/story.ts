import type { OptionsInput } from '../../../schemas/index.js'
import { MISSION_STATUSES, isTerminal } from '../../../schemas/mission.js'
import type { Mission } from '../../../lib/missions/index.js'
import { disableStorages } from './async-storages.js'
import { createChance, type Chance } from './chance.js'
import { NO_FAULTS, type Faults, type World } from './connection.js'
import { isLost, judge } from './oracle.js'
import { SimulatedProcess, TENANTS } from './process.js'
import { SimulatedServer } from './server.js'
import { WorldClock } from './world-clock.js'

export const LEASE_MS = 15_000
const CANCEL_GRACE_MS = 10_000
const MAX_PROCESSES = 4

/** What happened in one story, how often, and everything that went wrong. */
export interface Story { readonly seed: number, readonly lines: readonly string[], readonly counts: Readonly<Record<string, number>>, readonly problems: readonly string[] }

const REPORTABLE = MISSION_STATUSES.filter((status) => !isTerminal(status))

const nextTurn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve))

/** Lets everything happen that is due. Promises settle in a turn of the event loop, and may defer more. */
export async function letHappen ({ deferred }: World): Promise<void> {
  do {
    for (const run of deferred.splice(0)) run()
    await nextTurn()
  } while (deferred.length > 0)
}

/** The processes of a service, the log between them, and the events of one story, all derived from one seed. */
export class ClusterStory {
  readonly processes: SimulatedProcess[] = []
  /** Instances that have been killed or have left. */
  readonly counts: Record<string, number> = {}
  readonly #chance: Chance
  readonly #clock = new WorldClock(Date.UTC(2026, 0, 1))
  readonly #faults: { -readonly [Name in keyof Faults]: Faults[Name] } = { ...NO_FAULTS }
  readonly #lines: string[] = []
  readonly #world: World
  readonly #options: Pick<OptionsInput, 'missions' | 'websocket'>
  readonly #hasFailover: boolean
  #started = 0

  constructor (seed: number) {
    const chance = this.#chance = createChance(seed)
    // Where the log is trimmed so early, a process that has read what a failover has lost could not tell this any more.
    this.#hasFailover = chance.happens(0.5)
    const maxBatches = this.#hasFailover ? 8_192 : chance.pick([5, 50])
    const server = new SimulatedServer({ clock: this.#clock, leaseMs: LEASE_MS, maxBatches })
    this.#world = { clock: this.#clock, chance, server, faults: this.#faults, connections: new Set(), isAway: false, deferred: [] }
    this.#options = { missions: { cancelGraceMs: CANCEL_GRACE_MS, maxEnded: chance.pick([0, 5, 1_000]), stallMs: 3_600_000, maxProgressPerSecond: chance.pick([1, 10, 1_000]) } }
  }

  get server (): SimulatedServer { return this.#world.server }

  async run (): Promise<Omit<Story, 'seed'>> {
    const { upTo } = this.#chance
    for (let count = 2 + upTo(MAX_PROCESSES - 2); count > 0; count--) this.#spawn()
    await this.#pass(1_000)
    for (let steps = 20 + upTo(50); steps > 0; steps--) await this.#step()
    await this.#settle()
    const problems = judge(this)
    this.#countAll()
    for (const process of this.processes) process.kill()
    disableStorages()
    return { lines: this.#lines, counts: this.counts, problems }
  }

  #count (name: string, count = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + count
  }

  #countAll (): void {
    for (const [name, count] of Object.entries(this.server.answers)) this.#count(`step ${name}`, count)
    for (const [cause, count] of this.processes.flatMap(({ witnesses }) => Object.entries(witnesses[0]!.gaps))) this.#count(`gap ${cause}`, count)
    const lost = this.server.batches.flatMap(({ entries }) => entries).filter((entry) => entry.kind === 'mission' && isLost(entry))
    this.#count('mission lost', lost.length)
    for (const { result } of this.processes.flatMap(({ cancels }) => cancels.sent)) {
      this.#count(`cancel ${result === undefined ? 'without answer' : result.accepted ? result.cancel : result.code}`)
    }
  }

  async #step (): Promise<void> {
    const { pick, upTo } = this.#chance
    const act = pick(ACTS)
    this.#lines.push(`${this.#clock.monotonic()} ${act}`)
    this.#count(act)
    this.#acts[act]()
    const waits = WAITS[act] ?? 5_000
    await this.#pass(pick([0, 0, 1, 10, 100, 1_000, upTo(5_000)]) + (act in WAITS ? upTo(waits) : 0))
  }

  /** Lets time pass, and everything that is due happen. */
  async #pass (ms: number): Promise<void> {
    const end = this.#clock.monotonic() + ms
    await letHappen(this.#world)
    while (!this.#clock.step(end)) await letHappen(this.#world)
    await letHappen(this.#world)
  }

  /** Everything works again, until nothing more happens. */
  async #settle (): Promise<void> {
    this.#lines.push(`${this.#clock.monotonic()} everything works again`)
    Object.assign(this.#faults, NO_FAULTS, { latencyMs: 1 })
    this.#world.isAway = false
    for (const { connection, gate } of this.processes) {
      connection.isCut = false
      gate.resume()
    }
    if (!this.processes.some(({ isAlive }) => isAlive)) this.#spawn()
    await this.#pass(LEASE_MS * 4)
    await this.#cancelSome()
  }

  /** When everything works, a cancel from anywhere reaches the owner, and the mission ends. */
  async #cancelSome (): Promise<void> {
    const alive = this.processes.filter(({ isAlive }) => isAlive)
    const active = this.server.log.missions(this.server.log.missionIds()).filter(({ status }) => !isTerminal(status))
    const sent = active.filter(() => this.#chance.happens(0.3)).map(({ id }) => {
      const { cancels } = this.#chance.pick(alive)
      cancels.send(id)
      return { cancels, command: cancels.sent.at(-1)! }
    })
    await this.#pass(CANCEL_GRACE_MS + 2_000)
    for (const { cancels, command: { id, result } } of sent) {
      this.#count('cancel at rest')
      if (result?.accepted !== true || result.cancel === 'not_found') cancels.problems.push(`the cancel of ${id} at rest was answered with ${JSON.stringify(result)}`)
      const state = this.server.log.missions([id])[0]
      if (state !== undefined && !isTerminal(state.status)) cancels.problems.push(`${id} was cancelled at rest and is ${state.status}`)
    }
  }

  #spawn (): void {
    const name = `p${this.processes.length + 1}`
    this.processes.push(new SimulatedProcess({ world: this.#world, name, leaseMs: LEASE_MS, options: this.#options, all: this.processes }))
  }

  readonly #acts: Record<(typeof ACTS)[number], () => void> = {
    start: () => this.#host((process) => {
      const id = `m${++this.#started}`
      process.hold(process.missions.start({ id, name: id, ...tenantOf(id) }))
    }),
    run: () => this.#host((process) => {
      const id = this.#chance.happens(0.8) ? `m${++this.#started}` : this.#someId()
      process.run(id, tenantOf(id).tenant, this.#chance.happens(0.6))
    }),
    join: () => this.#host((process) => {
      const id = this.#someId()
      process.hold(process.missions.start({ id, name: id, ...tenantOf(id) }))
    }),
    retry: () => this.#host((process) => {
      const id = this.#someId()
      process.hold(process.missions.start({ id, name: id, attempt: this.#chance.pick(['next', 2, 3]), ...tenantOf(id) }))
    }),
    get: () => this.#host((process) => process.hold(process.missions.get(this.#someId()))),
    report: () => this.#host(({ missions }) => {
      const id = this.#someId()
      missions.report(id, this.#chance.pick(REPORTABLE), tenantOf(id))
    }),
    reportEnd: () => this.#host(({ missions }) => {
      const id = this.#someId()
      missions.report(id, this.#chance.pick(['completed', 'cancelled', 'error'] as const), tenantOf(id))
    }),
    progress: () => this.#someHandle((mission) => {
      for (let index = this.#chance.upTo(4); index >= 0; index--) mission.progress({ taskId: `t${index}`, index: index + 1, total: 5, status: 'done' })
    }),
    note: () => this.#someHandle((mission) => mission.note('a note')),
    end: () => this.#someHandle((mission) => this.#chance.pick([() => mission.complete(), () => mission.fail('broken'), () => mission.cancelled()])()),
    // As webhooks through a balancer do.
    race: () => {
      const id = this.#someId()
      for (const process of this.processes.filter(({ isRunning }) => isRunning)) {
        process.missions.report(id, this.#chance.pick(['completed', 'cancelled', 'error', 'execution_progress'] as const), tenantOf(id))
      }
    },
    cancel: () => this.#host(({ missions }) => missions.cancel(this.#someId())),
    command: () => this.#host(({ cancels }) => cancels.send(this.#someId())),
    settle: () => this.#host(({ running }) => {
      if (running.size > 0) this.#chance.pick([...running]).settle(this.#chance.happens(0.5) ? undefined : new Error('broken'))
    }),
    burst: () => this.#host(({ missions }) => {
      for (let at = this.#chance.upTo(20); at >= 0; at--) {
        const id = `m${++this.#started}`
        const mission = missions.start({ id, name: id, ...tenantOf(id) })
        if (this.#chance.happens(0.7)) mission.complete()
      }
    }),
    latency: () => { this.#faults.latencyMs = this.#chance.pick([0, 1, 10, 300, 3_000]) },
    faults: () => {
      const { pick } = this.#chance
      Object.assign(this.#faults, { lostRequests: pick([0, 0.1, 0.4]), lostAnswers: pick([0, 0.1, 0.4]), lateCopies: pick([0, 0.3]), lostMessages: pick([0, 0.5]) })
    },
    works: () => { Object.assign(this.#faults, NO_FAULTS) },
    away: () => { this.#world.isAway = !this.#world.isAway },
    cut: () => this.#some((process) => { process.connection.isCut = !process.connection.isCut }),
    break: () => this.#some(({ connection }) => connection.break()),
    failover: () => {
      if (!this.#hasFailover) return
      const lost = this.server.failover(this.#chance.pick([0, 1, 2, 5, 20]))
      if (lost.length > 0) this.#count('lossy failover')
      for (const connection of this.#world.connections) connection.break()
    },
    pause: () => this.#some(({ gate }) => gate.isRunning ? gate.pause() : gate.resume()),
    kill: () => this.#some((process) => process.kill()),
    close: () => this.#some((process) => {
      if (process.isRunning) process.close().catch((err: unknown) => { process.problems.push(`${process.name}: ${String(err)}`) })
    }),
    spawn: () => { if (this.processes.filter(({ isAlive }) => isAlive).length < MAX_PROCESSES) this.#spawn() },
    wait: () => {},
    waitLong: () => {}
  }

  /** Something that the host of a process does. What it may throw is no problem. */
  #host (act: (process: SimulatedProcess) => unknown): void {
    const running = this.processes.filter(({ isRunning }) => isRunning)
    if (running.length === 0) return
    const process = this.#chance.pick(running)
    try {
      act(process)
    } catch (err) {
      if (!EXPECTED.has((err as { code?: string }).code ?? '')) process.problems.push(`${process.name}: ${(err as Error).stack}`)
    }
  }

  #some (act: (process: SimulatedProcess) => void): void {
    const alive = this.processes.filter(({ isAlive }) => isAlive)
    if (alive.length > 0) act(this.#chance.pick(alive))
  }

  #someHandle (act: (mission: Mission) => unknown): void {
    this.#host(({ handles }) => { if (handles.size > 0) act(this.#chance.pick([...handles])) })
  }

  #someId (): string { return `m${1 + this.#chance.upTo(Math.max(0, this.#started - 1))}` }
}

const EXPECTED = new Set(['FST_MC_MISSION_ENDED', 'FST_MC_MISSION_LIVE'])

/** The tenant of a mission, the same in every process. */
function tenantOf (id: string): { tenant?: string } {
  const tenant = TENANTS[Number(id.slice(1)) % TENANTS.length]
  return tenant === undefined ? {} : { tenant }
}

const WAITS: Record<string, number> = { wait: 10_000, waitLong: 40_000 }

const ACTS = [
  'start', 'start', 'run', 'run', 'run', 'join', 'retry', 'get', 'get', 'report', 'report', 'reportEnd', 'progress', 'progress', 'note', 'end', 'race', 'cancel', 'command', 'command', 'settle', 'settle',
  'burst', 'latency', 'faults', 'works', 'away', 'cut', 'break', 'failover', 'pause', 'pause', 'kill', 'close', 'spawn', 'spawn', 'wait', 'waitLong'
] as const
