import { platform } from '../connection/platform.js'
import type { ClientContext } from '../context.js'
import type { MissionsSnapshot, MissionsState } from '../types.js'

/** Adds the store to the map of a context. */
export function createMissionsState (context: ClientContext): MissionsState {
  const { missions: { states }, clock, document, emit, listen, has } = context
  // Undefined if it is outdated and nobody has to be notified of that.
  let snapshot: MissionsSnapshot | undefined
  let isScheduled = false

  const getSnapshot = (): MissionsSnapshot => (snapshot ??= Object.freeze({
    missions: Object.freeze([...states.values()]),
    lost: Object.freeze(context.lost.filter(({ missionId }) => !states.has(missionId))),
    state: context.state
  }))

  context.flush = () => {
    if (!isScheduled) return
    isScheduled = false
    snapshot = undefined
    emit('missionsState', getSnapshot())
  }

  context.touch = () => {
    if (!has('missionsState')) snapshot = undefined
    else if (!isScheduled) {
      isScheduled = true
      // A page in the background gets no frames.
      if (document?.visibilityState === 'visible' && platform.requestAnimationFrame) {
        platform.requestAnimationFrame(context.flush)
      } else clock.after(0, context.flush)
    }
  }

  return Object.assign(states, {
    subscribe (listener: (snapshot: MissionsSnapshot) => void) {
      getSnapshot()
      return listen('missionsState', listener)
    },
    getSnapshot
  })
}
