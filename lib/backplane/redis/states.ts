import { onRejection } from '../../base/promises.js'
import type { StoredMission } from '../contract.js'
import type { RedisConnection } from './client/redis-connection.js'
import { decodeMission } from './encoding/missions.js'
import { LuaScript } from './lua-script.js'
import { STATES } from './scripts/states.js'

const SCRIPT = new LuaScript(STATES)

export interface StatesDeps {
  connection: RedisConnection
  /** The name of the key `meta`. */
  key: string
  onBroken: (count: number) => void
}

/** What the script returns: where the next page begins, where the last one ends, and ids and values of missions. */
type Reply = readonly [cursor: string, end: string, ...missions: unknown[]]

/** Reads all missions, page by page, in the order in which they were first stored. */
export async function * readStates (
  { connection, key, onBroken }: StatesDeps
): AsyncGenerator<readonly StoredMission[]> {
  const read = async (from: string, end: string): Promise<Reply> =>
    await SCRIPT.run(connection, key, [from, end]) as Reply
  let next: Promise<Reply> | undefined = read('-inf', '')
  while (next !== undefined) {
    const [cursor, end, ...missions]: Reply = await next
    // Redis collects the next page while this one is used.
    next = cursor === '' ? undefined : read(`(${cursor}`, end)
    // The caller may not want it any more.
    if (next !== undefined) onRejection(next, () => {})
    const page = decodePage(missions)
    if (page.length < missions.length / 2) onBroken(missions.length / 2 - page.length)
    if (page.length > 0) yield page
  }
}

function decodePage (missions: readonly unknown[]): StoredMission[] {
  const page: StoredMission[] = []
  for (let at = 0; at < missions.length; at += 2) {
    const mission = decodeMission(missions[at] as string, missions[at + 1] as Array<string | number>)
    if (mission !== undefined) page.push(mission)
  }
  return page
}
