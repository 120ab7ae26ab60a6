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

/** Reads all missions, page by page, in the order in which they were first stored. */
export async function * readStates (
  { connection, key, onBroken }: StatesDeps
): AsyncGenerator<readonly StoredMission[]> {
  let from = '-inf'
  let end = ''
  while (from !== '') {
    const [cursor, last, ...list] = await SCRIPT.run(connection, key, [from, end]) as [string, string, ...unknown[]]
    end = last
    const page: StoredMission[] = []
    let broken = 0
    for (let at = 0; at + 1 < list.length; at += 2) {
      const mission = decodeMission(list[at] as string, list[at + 1] as Array<string | number>)
      if (mission === undefined) broken++
      else page.push(mission)
    }
    if (broken > 0) onBroken(broken)
    if (page.length > 0) yield page
    from = cursor === '' ? '' : `(${cursor}`
  }
}
