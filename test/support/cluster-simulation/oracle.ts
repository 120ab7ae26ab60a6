import type { LogEntry, MissionEntry, StoredMission } from '../../../lib/backplane/index.js'
import type { MissionCopy } from '../../../schemas/cluster/mission-copy.js'
import { isTerminal, MISSION_STATUSES } from '../../../schemas/mission.js'
import type { SimulatedProcess } from './process.js'
import type { SimulatedServer } from './server.js'

/** A story that is over: everything works again, and nothing happens any more. */
export interface Ended {
  readonly server: SimulatedServer
  readonly processes: readonly SimulatedProcess[]
}

interface Counts { active: number, completed: number, cancelled: number, errors: number }

const FIELD = { completed: 'completed', cancelled: 'cancelled', error: 'errors' } as const

/** Everything that is wrong, as sentences. */
export function judge ({ server, processes }: Ended): string[] {
  const entries = server.batches.flatMap((batch) => batch.entries).filter(isMission)
  const states = new Map(server.log.missions(server.log.missionIds()).map((one) => [one.id, one]))
  const alive = processes.filter(({ isAlive }) => isAlive)
  const cancelled = [...states.values()].filter(({ status, state }) => !isTerminal(status) && state.includes('"isCancelRequested":true'))
  return [
    ...processes.flatMap(({ problems, witnesses }) => [...problems, ...witnesses.flatMap((witness) => witness.problems)]),
    ...checkLog(entries),
    ...cancelled.map((state) => `${describe(state)} was cancelled, but has not ended after its grace period`),
    ...processes.flatMap((process) => [...process.cancels.checkAnswers(), ...checkSignals(process)]),
    ...checkLosses(states, alive, server.lostEndings),
    ...alive.flatMap((process) => [
      ...checkConnection(process, server), ...checkPicture(process, states, entries), ...checkOwn(process, server, states, entries), ...checkWitnesses(process, server, entries)
    ])
  ]
}

const isMission = (entry: LogEntry): entry is MissionEntry => entry.kind === 'mission'

const rankOf = (status: MissionEntry['status']): number => isTerminal(status) ? Infinity : MISSION_STATUSES.indexOf(status)

/** Whether an entry tells that a mission was lost with its process. */
export const isLost = ({ update }: MissionEntry): boolean => update.includes('"errorCode":"process_lost"')

/** Rule 2: in the log, an attempt has one ending, nothing goes back, and no step is there twice. */
function checkLog (entries: readonly MissionEntry[]): string[] {
  const problems: string[] = []
  const last = new Map<string, MissionEntry>()
  const messages = new Set<string>()
  for (const entry of entries) {
    if (messages.has(entry.messageId)) problems.push(`the log has ${describe(entry)} twice`)
    messages.add(entry.messageId)
    const known = last.get(entry.id)
    last.set(entry.id, entry)
    if (known === undefined || entry.attempt > known.attempt) continue
    if (isTerminal(known.status)) problems.push(`the log has ${describe(entry)} after ${describe(known)}`)
    if (entry.attempt < known.attempt || rankOf(entry.status) < rankOf(known.status)) problems.push(`the log goes back to ${describe(entry)} from ${describe(known)}`)
  }
  return problems
}

/** Rule 4: what ran in a process that is gone has ended; what was only reported lives on. */
function checkLosses (states: ReadonlyMap<string, StoredMission>, alive: readonly SimulatedProcess[], lostEndings: ReadonlySet<string>): string[] {
  return [...states.values()].flatMap((state) => {
    const hasOwner = alive.some(({ cluster }) => cluster.membership.instance.id === state.owner)
    if (!isTerminal(state.status) && !hasOwner) return [`${describe(state)} is active, but its owner ${state.owner} is gone`]
    // What a failover has lost may be told again by a process that did not run it.
    const isToldAgain = lostEndings.has(`${state.id} ${state.attempt}`)
    const { error } = JSON.parse(state.state) as MissionCopy
    if (isTerminal(state.status) && error?.code === 'process_lost' && !state.isRun && !isToldAgain) return [`${describe(state)} was lost with a process, but did not run in it`]
    return []
  })
}

/** Rule 5: a function that runs knows of the cancel request. */
function checkSignals ({ name, isAlive, running }: SimulatedProcess): string[] {
  if (!isAlive) return []
  return [...running].filter(({ mission }) => mission.view().cancel !== null && !mission.signal.aborted)
    .map(({ mission }) => `${name}: the function of ${mission.id} was not told that its mission is cancelled`)
}

function checkConnection ({ name, cluster }: SimulatedProcess, { log }: SimulatedServer): string[] {
  const { isAway, waiting, droppedSteps, brokenEntries } = cluster.totals
  const problems: string[] = []
  if (isAway) problems.push(`${name} believes that the backplane is away`)
  if (waiting > 0) problems.push(`${name} has ${waiting} steps that were not appended`)
  if (droppedSteps + brokenEntries > 0) problems.push(`${name} has dropped ${droppedSteps} steps and ${brokenEntries} entries`)
  const [found, expected] = [cluster.picture.position, log.position].map((position) => JSON.stringify(position))
  if (found !== expected) problems.push(`${name} has read up to ${found}, but the log ends at ${expected}`)
  return problems
}

/** Rule 6: the picture of a process equals the log. */
function checkPicture ({ name, cluster, missions }: SimulatedProcess, states: ReadonlyMap<string, StoredMission>, entries: readonly MissionEntry[]): string[] {
  const { picture } = cluster
  const problems: string[] = []
  for (const state of states.values()) {
    const found = picture.find(state.id)
    const shown = found === undefined ? 'nothing' : `${describe(found)} seq ${found.seq} of ${found.owner}`
    const wanted = `${describe(state)} seq ${state.seq} of ${state.owner}`
    if (shown !== wanted) problems.push(`${name} shows ${shown}, but the log has ${wanted}`)
    else if (!found!.hasState(state.state)) problems.push(`${name} has another state of ${describe(state)}`)
  }
  const active = Array.from(picture.active.of(), ({ id }) => id).sort().join()
  const expected = [...states.values()].filter(({ status }) => !isTerminal(status)).map(({ id }) => id).sort().join()
  if (active !== expected) problems.push(`${name} has the active missions ${active}, but the log has ${expected}`)
  const counts = countAll(entries)
  const { active: running, completed, cancelled, errors } = missions.stats()
  const found = JSON.stringify({ active: running, completed, cancelled, errors })
  if (found !== JSON.stringify(counts)) problems.push(`${name} counts ${found}, but the log has ${JSON.stringify(counts)}`)
  return problems
}

function countAll (entries: readonly MissionEntry[]): Counts {
  const counts: Counts = { active: 0, completed: 0, cancelled: 0, errors: 0 }
  const last = new Map<string, MissionEntry>()
  for (const entry of entries) {
    const known = last.get(entry.id)
    last.set(entry.id, entry)
    if (known?.attempt !== entry.attempt) {
      counts.active++
      if (known !== undefined && !isTerminal(known.status)) {
        counts.active--
        counts.cancelled++
      }
    }
    if (!isTerminal(entry.status)) continue
    counts.active--
    counts[FIELD[entry.status]]++
  }
  return counts
}

/** Rules 2 and 4: what the host holds has the outcome that the log has decided, and was told. */
function checkOwn ({ name, handles, ran, settled, core, witnesses }: SimulatedProcess, { lostEndings }: SimulatedServer, states: ReadonlyMap<string, StoredMission>, entries: readonly MissionEntry[]): string[] {
  const problems: string[] = []
  const endings = new Map(entries.filter(({ status }) => isTerminal(status)).map((entry) => [`${entry.id} ${entry.attempt}`, entry]))
  for (const mission of handles) {
    if (!mission.isTracked) continue
    const key = `${mission.id} ${mission.attempt}`
    // What was settled stays so, even if a failover has lost it and the log has decided otherwise since.
    if (lostEndings.has(key) && settled.has(mission)) continue
    // A log that was loaded again has only the newest attempt, and what that attempt knows of the ones before it.
    const isHistory = Object.keys(witnesses[0]!.gaps).length > 0 && (states.get(mission.id)?.attempt ?? 0) > mission.attempt
    if (isHistory) continue
    const entry = endings.get(key)
    const ending = entry?.status
    if (entry !== undefined && isLost(entry) && ran.has(mission) && mission.outcome?.error?.code === 'process_lost' && !mission.signal.aborted) problems.push(`${name}: the function of ${mission.id} was not told that its mission was lost`)
    const what = `${name}: the handle of ${mission.id}, attempt ${mission.attempt}, `
    if (ending !== undefined) {
      if (mission.status !== ending) problems.push(`${what}is ${mission.status}, but the log has ${ending}`)
      else if (settled.get(mission) === undefined) problems.push(`${what}has not settled`)
    } else if (mission.isTerminal && (states.get(mission.id)?.attempt ?? 0) <= mission.attempt) problems.push(`${what}is ${mission.status}, but the log has no ending`)
  }
  for (const mission of core.missions.index.local.values()) {
    const state = states.get(mission.id)
    const found = `${describe(mission)} seq ${mission.seq}`
    const expected = state === undefined ? 'nothing' : `${describe({ ...state, sequence: undefined })} seq ${state.seq}`
    if (found !== expected && !(mission.isTerminal && mission.attempt < (state?.attempt ?? 0))) problems.push(`${name} holds ${found}, but the log has ${expected}`)
  }
  return problems
}

/** Rule 6: every ending is known or announced as a gap. Witnesses complain about holes themselves. */
function checkWitnesses ({ name, witnesses }: SimulatedProcess, { log }: SimulatedServer, entries: readonly MissionEntry[]): string[] {
  return witnesses.flatMap(({ tenant, epoch, offset }) => {
    const own = entries.filter((entry) => tenant === undefined || entry.tenant === tenant)
    const head = own.reduce((last, entry) => Math.max(last, tenant === undefined ? entry.offset : entry.tenantOffset), 0)
    const who = `${name}${tenant === undefined ? '' : ` (tenant ${tenant})`}`
    const problems: string[] = []
    if (epoch !== log.position.epoch) problems.push(`clients of ${who} are in the epoch ${epoch}`)
    if (offset !== head) problems.push(`clients of ${who} are at the offset ${offset}, but the last one is ${head}`)
    return problems
  })
}

function describe ({ id, attempt, status, sequence }: { id: string, attempt: number, status: string, sequence?: number | undefined }): string {
  return `${id}, attempt ${attempt}, ${status}${sequence === undefined ? '' : ` (sequence ${sequence})`}`
}
