import type { MissionUpdate, ServerMessage, ServerMessages } from 'fastify-mission-control/schemas'
import { Viewer } from '../viewer.js'
import type { Screen, Style } from './screen.js'

/** Minimum number of tasks between two lines of a mission, for output that is not a terminal. */
const TASKS_PER_LINE = 25

const WORD_STYLES: Record<string, Style> = {
  completed: 'green',
  healthy: 'green',
  error: 'red',
  critical: 'red',
  cancelled: 'yellow',
  degraded: 'yellow',
  warning: 'yellow'
}

/** Connects to the service as a client and prints one line per event. A terminal shows progress in its last line. */
export async function follow (url: string, screen: Screen): Promise<Viewer> {
  const follower = new Follower(screen)
  const viewer = await Viewer.connect(url, (message) => follower.show(message))
  await viewer.subscribe(['health_delta', 'anomaly_alert', 'mission_stats', 'metrics_tick', 'mission_update'])
  return viewer
}

class Follower {
  readonly #screen: Screen
  readonly #running = new Map<string, string>()
  readonly #lastShown = new Map<string, number>()

  constructor (screen: Screen) {
    this.#screen = screen
  }

  show (message: ServerMessage): void {
    if (message.type === 'mission_update') return this.#showMission(message)
    const text = describe(message)
    if (text !== undefined) this.#line(message, ...text)
  }

  #showMission (message: ServerMessages['mission_update']): void {
    const { missionId, status, name, progress } = message.payload
    if (isEnd(status)) this.#forget(missionId)
    else this.#running.set(missionId, progress === undefined ? name : `${name} ${progress.index}/${progress.total}`)

    if (status === 'execution_started' || isEnd(status)) this.#line(message, status, describeMission(message.payload))
    else if (progress !== undefined && this.#isWorthALine(missionId, progress.index)) {
      this.#line(message, status, `${name} ${progress.index} of ${progress.total}: ${progress.taskId}`)
    }
    this.#screen.status([...this.#running.values()].join('   '))
  }

  #forget (missionId: string): void {
    this.#running.delete(missionId)
    this.#lastShown.delete(missionId)
  }

  // Not all progress is sent, only the newest at most ten times a second per mission, so indexes can be skipped.
  #isWorthALine (missionId: string, index: number): boolean {
    if (this.#screen.isTerminal || index - (this.#lastShown.get(missionId) ?? 0) < TASKS_PER_LINE) return false
    this.#lastShown.set(missionId, index)
    return true
  }

  #line ({ timestamp, type }: ServerMessage, word: string, text: string): void {
    const origin = this.#screen.paint('dim', `${timestamp.slice(11, 23)}  ${type.padEnd(14)}`)
    const paintedWord = this.#screen.paint(WORD_STYLES[word] ?? 'reset', word.padEnd(18))
    this.#screen.line(`${origin}  ${paintedWord}  ${text}`)
  }
}

const isEnd = (status: MissionUpdate['status']): boolean => ['completed', 'cancelled', 'error'].includes(status)

function describeMission ({ name, error, cancel, durationMs }: MissionUpdate): string {
  if (durationMs === undefined) return name
  const why = error ?? cancel?.reason ?? undefined
  return `${name} in ${durationMs.toFixed(0)} ms${why === undefined ? '' : `, ${why}`}`
}

function describe (message: ServerMessage): [word: string, text: string] | undefined {
  if (message.type === 'health_delta') {
    const { status, health } = message.payload
    return [status, Object.entries(health.components).map(([name, { status }]) => `${name} ${status}`).join(', ')]
  }
  if (message.type === 'anomaly_alert') {
    const { severity, state, message: text } = message.payload
    return [severity, `${state}: ${text}`]
  }
  if (message.type === 'mission_stats') {
    const { active, completed, errors, cancelled, avgDurationMs } = message.payload
    const mean = (avgDurationMs ?? 0).toFixed(0)
    return [`${active} active`, `${completed} completed, ${errors} errors, ${cancelled} cancelled, mean ${mean} ms`]
  }
  if (message.type === 'metrics_tick') {
    const { p50, p95, p99, count } = message.payload
    return [`${count} operations`, `p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`]
  }
  return undefined
}
