import type { OptionsInput } from '../../../schemas/index.js'
import type { BackplaneContext, SharedLog } from '../../../lib/backplane/index.js'
import { CallbackErrors } from '../../../lib/base/callback-errors.js'
import { resolveOptions } from '../../../lib/base/options.js'
import type { Cluster } from '../../../lib/cluster/cluster.js'
import { createCore, type Core, type CoreLog } from '../../../lib/core.js'
import { createMissions, type Mission, type Missions, type MissionState } from '../../../lib/missions/index.js'
import { CancelCommands } from './cancel-commands.js'
import { SimulatedConnection, type World } from './connection.js'
import { ProcessClock } from './process-clock.js'
import { Witness } from './witness.js'

const SILENT: CoreLog = { trace () {}, debug () {}, info () {}, warn () {}, error () {}, child: () => SILENT }

export const TENANTS = [undefined, 'x', 'y'] as const

/** A function of the host that is a mission. */
export interface RunningFunction { readonly mission: Mission, readonly settle: (err: Error | undefined) => void }

export interface ProcessDeps {
  world: World
  name: string
  leaseMs: number
  options: Pick<OptionsInput, 'missions' | 'websocket'>
  /** All processes that there have been, this one included. */
  all: readonly SimulatedProcess[]
}

/** A process of the service, without HTTP. */
export class SimulatedProcess {
  readonly name: string
  readonly gate: ProcessClock
  readonly core: Core
  readonly cluster: Cluster
  readonly missions: Missions
  readonly witnesses: Witness[]
  /** Every handle that the host has got here. */
  readonly handles = new Set<Mission>()
  /** The outcomes that handles have settled with. */
  readonly settled = new Map<Mission, string>()
  /** The functions that run, and the missions of all that have run. */
  readonly running = new Set<RunningFunction>()
  readonly ran = new Set<Mission>()
  readonly problems: string[] = []
  readonly cancels: CancelCommands
  connection!: SimulatedConnection
  #state: 'alive' | 'closing' | 'closed' | 'dead' = 'alive'

  constructor ({ world, name, leaseMs, options, all }: ProcessDeps) {
    this.name = name
    this.cancels = new CancelCommands(this, () => all)
    this.gate = new ProcessClock(world.clock)
    const connect = (context: BackplaneContext): SharedLog => (this.connection = new SimulatedConnection(world, this.gate, context))
    this.core = createCore({
      options: { ...resolveOptions({ ...options, server: { name: 'orders' } }, {}), backplane: { leaseMs, connect } },
      clock: this.gate,
      log: SILENT,
      access: { isRestricted: false, isNarrowed: false },
      callbackErrors: new CallbackErrors({ ...SILENT, warn: (fields: object) => this.#failed((fields as { err?: Error & { code?: string } }).err) }),
      defer: (run) => world.deferred.push(() => this.gate.run(run))
    })
    this.cluster = this.core.cluster!
    this.missions = createMissions(this.core.missions)
    this.missions.handle({ cancel: {} })
    this.witnesses = TENANTS.map((tenant) => new Witness(this.cluster.feed, name, tenant))
    this.core.missions.updates.onUpdate((_update, mission) => this.#ended(mission))
    this.cluster.connect({
      restart: (epoch, cause) => { for (const witness of this.witnesses) witness.restart(epoch, cause) },
      publish: () => {}
    })
    this.cluster.link.start().catch((err: unknown) => { this.problems.push(`${name}: ${String(err)}`) })
  }

  /** Rule 5: the process that owns a mission forces it to end, and no other that knows of it. */
  #ended ({ id, attempt, cancel, isTerminal }: MissionState): void {
    const { picture, membership } = this.cluster
    const shared = picture.find(id)
    if (!isTerminal || cancel?.forced !== true || shared?.attempt !== attempt || membership.isOwn(shared.owner)) return
    if (membership.isAlive(shared.owner)) this.problems.push(`${this.name}: ${id} was forced to end here, but ${shared.owner} owns it`)
  }

  // A command that a paused process has not received is judged by its answer.
  #failed (err: Error & { code?: string } | undefined): void {
    if (err?.code !== 'FST_MC_INVALID_HANDLER') this.problems.push(`${this.name}: a callback failed: ${err?.stack}`)
  }

  /** Whether the host can use it now. */
  get isRunning (): boolean { return this.#state === 'alive' && this.gate.isRunning }

  get isAlive (): boolean { return this.#state === 'alive' }

  /** Remembers a handle, and how it settles. */
  hold (mission: Mission | undefined): void {
    if (mission === undefined || this.handles.has(mission)) return
    this.handles.add(mission)
    mission.settled().then(({ status }) => { this.settled.set(mission, status) }, () => {})
  }

  /** Runs a function that ends when the story says so. */
  run (id: string, tenant: string | undefined, obeys: boolean): void {
    const running = this.missions.run({ id, name: id, ...tenant !== undefined && { tenant } }, async (mission) => {
      this.hold(mission)
      this.ran.add(mission)
      await new Promise<void>((resolve, reject) => {
        const one: RunningFunction = {
          mission,
          settle: (err) => {
            this.running.delete(one)
            if (err === undefined) resolve()
            else reject(err)
          }
        }
        this.running.add(one)
        if (obeys) mission.signal.addEventListener('abort', () => one.settle(mission.signal.reason as Error))
      })
    })
    running.catch(() => {})
  }

  /** As kill -9. */
  kill (): void {
    this.#state = 'dead'
    this.gate.kill()
    this.connection.close().catch(() => {})
  }

  /** As a deploy does: missions that run here are asked to end, and the lease is given back. */
  async close (): Promise<void> {
    this.#state = 'closing'
    const { missions, monitoring } = this.core
    await missions.shutdown()
    await this.cluster.link.idle()
    await this.cluster.close()
    missions.close()
    monitoring.close()
    this.#state = 'closed'
  }
}
