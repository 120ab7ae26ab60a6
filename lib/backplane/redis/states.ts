import { onRejection } from '../../base/promises.js'
import type { StoredMission } from '../contract.js'
import type { RedisConnection } from './client/redis-connection.js'
import { VALUES, decodeMissions } from './encoding/missions.js'
import { LuaScript } from './lua-script.js'
import { STATES } from './scripts/states.js'

const SCRIPT = new LuaScript(STATES)

export interface StatesDeps {
  connection: RedisConnection
  /** The name of the key `meta`. */
  key: string
  onBroken: (count: number) => void
}

/** What the script returns: where the next page begins, where the last one ends, and missions. */
type Reply = readonly [cursor: string, end: string, broken: number, ...values: unknown[]]

/** Reads all missions, page by page, in the order in which they were first stored. */
export async function * readStates (
  { connection, key, onBroken }: StatesDeps
): AsyncGenerator<readonly StoredMission[]> {
  const read = async (from: string, end: string): Promise<Reply> =>
    await SCRIPT.run(connection, key, [from, end]) as Reply
  let next: Promise<Reply> | undefined = read('-inf', '')
  while (next !== undefined) {
    const [cursor, end, broken, ...values]: Reply = await next
    // Redis collects the next page while this one is used.
    next = cursor === '' ? undefined : read(`(${cursor}`, end)
    // The caller may not want it any more.
    if (next !== undefined) onRejection(next, () => {})
    const page = decodeMissions(values)
    const missing = broken + values.length / VALUES - page.length
    if (missing > 0) onBroken(missing)
    if (page.length > 0) yield page
  }
}
