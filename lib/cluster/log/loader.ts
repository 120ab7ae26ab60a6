import type { Joined, SharedLog } from '../../backplane/contract.js'
import type { SharedMission } from '../../missions/index.js'
import type { LoadedPicture, Picture } from '../picture/picture.js'

/**
 * Reads everything that a process must know of the log before it can follow the log from `joined.position` on. The
 * picture stays as it is meanwhile.
 */
export async function loadPicture (log: SharedLog, joined: Joined, picture: Picture): Promise<LoadedPicture> {
  const missions = new Map<string, SharedMission>()
  const intern = createIntern()
  for await (const page of log.states()) {
    for (const stored of page) {
      // A mission that has changed while the states were read may be returned twice.
      if ((missions.get(stored.id)?.sequence ?? -1) >= stored.sequence) continue
      const { owner, status, tenant } = stored
      missions.set(stored.id, picture.create({
        ...stored, owner: intern(owner), status: intern(status), tenant: tenant === null ? null : intern(tenant)
      }))
    }
  }
  const { position, counts, heads, retained } = joined
  return { position, missions, history: await log.history(), counts, heads, retained }
}

// Every mission comes with its own copy of the same few texts.
function createIntern (): <Text extends string>(text: Text) => Text {
  const known = new Map<string, string>()
  return <Text extends string>(text: Text) => {
    const first = known.get(text)
    if (first !== undefined) return first as Text
    known.set(text, text)
    return text
  }
}
