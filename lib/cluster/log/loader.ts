import type { Joined, SharedLog, StoredMission } from '../../backplane/contract.js'
import type { LoadedPicture } from '../picture/picture.js'

/** Reads everything that a process must know of the log before it can follow the log from `joined.position` on. */
export async function loadPicture (log: SharedLog, joined: Joined): Promise<LoadedPicture> {
  const missions: StoredMission[] = []
  for await (const page of log.states()) missions.push(...page)
  const history = await log.history()
  const { position, counts, heads, retained } = joined
  return { position, missions, history, counts, heads, retained }
}
