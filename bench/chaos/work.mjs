// What a process of the service does: missions of several kinds. Everything that is acknowledged is written to a file.
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../fanout/processes.mjs'

const ENDINGS = ['completed', 'completed', 'completed', 'error', 'cancelled']
/** Processes report missions with the same ids within this time. */
const SHARED_MS = 700

export class Work {
  #missions
  #random
  #settings
  #living = new Set()
  #isRunning = false
  #count = 0

  /** `settings` has a `label` that is unique, the rate `perSecond` and the open file `ledger`. */
  constructor (missions, random, settings) {
    this.#missions = missions
    this.#random = random
    this.#settings = settings
  }

  async begin () {
    const { label, perSecond } = this.#settings
    this.#isRunning = true
    while (this.#isRunning) {
      const kind = this.#random.pick(['run', 'run', 'start', 'start', 'shared', 'cancel'])
      const life = this[`_${kind}`](`${kind}-${label}-${++this.#count}`).catch((err) => this.#write('failed', { error: String(err) }))
      this.#living.add(life)
      life.finally(() => this.#living.delete(life))
      await sleep(this.#random.between(500, 1_500) / perSecond)
    }
  }

  /** Starts nothing more. Resolves when all missions of this process are stored, and at last after `ms`. */
  async end (ms) {
    this.#isRunning = false
    await Promise.race([Promise.all(this.#living), sleep(ms)])
    return { unsettled: this.#living.size }
  }

  // A function that may fail, and that ends when it is asked to.
  async _run (id) {
    let mission
    await this.#missions.run({ id, name: 'run' }, async (running) => {
      mission = running
      this.#write('started', running)
      await this.#steps(running)
      running.signal.throwIfAborted()
      if (this.#random.chance(0.2)) throw new Error('broken')
    }).catch(() => {})
    this.#write('ended', mission.outcome)
    await this.#settle(mission)
  }

  // Only reported; may end in another process if this one dies.
  async _start (id) {
    const mission = this.#missions.start({ id, name: 'start' })
    this.#write('started', mission)
    await this.#steps(mission)
    const status = this.#random.pick(ENDINGS)
    if (mission.report(status).applied) this.#write('ended', mission.outcome)
    await this.#settle(mission)
  }

  // Several processes report the same mission, like webhooks through a balancer.
  async _shared () {
    const id = `shared-${Math.floor(machineMs() / SHARED_MS)}`
    const isApplied = (status) => this.#missions.report(id, status, { name: 'shared' }).applied
    if (isApplied('execution_started')) await sleep(this.#random.between(0, 2 * SHARED_MS))
    const isEnded = isApplied(this.#random.pick(ENDINGS))
    const mission = this.#missions.get(id)
    if (mission === undefined) return
    if (isEnded) this.#write('ended', mission.outcome)
    await this.#settle(mission)
  }

  async _cancel () {
    const { missions } = this.#missions.list({ limit: 20 })
    const active = missions.filter(({ endedAt, name }) => endedAt === null && name === 'run')
    if (active.length > 0) this.#missions.cancel(this.#random.pick(active).id, { reason: 'chaos' })
  }

  async #steps (mission) {
    const total = Math.round(this.#random.between(1, 8))
    await this.#pause(mission)
    mission.planned()
    await this.#pause(mission)
    mission.executionStarted()
    for (let index = 1; index <= total; index++) {
      await this.#pause(mission)
      mission.progress({ taskId: 'rows', index, total, status: 'running' })
    }
  }

  async #pause ({ signal }) {
    await sleep(this.#random.between(50, 600), undefined, { signal }).catch(() => {})
  }

  async #settle (mission) {
    try {
      this.#write('settled', await mission.settled())
    } catch (err) {
      this.#write('unsettled', { id: mission.id, error: err.code })
    }
  }

  #write (kind, { id, attempt, status, error }) {
    const line = JSON.stringify({ kind, at: machineMs(), id, attempt, status, error: error?.code ?? error })
    writeSync(this.#settings.ledger, `${line}\n`)
  }
}
