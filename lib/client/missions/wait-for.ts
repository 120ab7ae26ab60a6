import type { ClientContext } from '../context.js'
import { ClientError, type ClientErrorName } from '../errors.js'
import { isEnding, type MissionState } from './mission-map.js'
import type { Requests } from '../connection/requests.js'
import type { AbortSignalLike, ClientTimer } from '../connection/platform.js'

export interface ClientWaitOptions {
  /** Gives up after so many ms; without it, it waits for as long as the mission runs. */
  timeoutMs?: number
  signal?: AbortSignalLike
}

export interface Waiter { wasSeen?: boolean, resolve: (mission: MissionState) => void, reject: (error: ClientError) => void }

export interface Waiters {
  /** Waits for the end of a mission, which may be now; returns the function that ends the wait. */
  add (id: string, waiter: Waiter): () => void
  wait (id: string, options?: ClientWaitOptions): Promise<MissionState>
  /** Where a mission is now. */
  tell (mission: MissionState): void
  /** The service has accepted to start this mission. */
  expect (id: string): void
  /** Asks for all that the map does not hold: the service has handed over its state. */
  askMissing (): void
  /** So much time has passed that a mission that was started must have begun. */
  beat (): void
  down (): void
  close (error: ClientError): void
}

/** Between two questions, so that many waiters do not use up what a client may send. */
const PACE_MS = 50

/**
 * Who waits for the end of which mission. Of a mission that the map does not hold the service is asked, so that nobody waits for nothing.
 * `isSettled` says whether the map is what the service knows.
 */
export function createWaiters (core: ClientContext, ask: Requests['ask'], isSettled: () => boolean): Waiters {
  const { clock, missions: { states } } = core
  const waiters = new Map<string, Set<Waiter>>()
  // Missions that were started over this connection and not heard of yet: that they are not in the map means nothing.
  const expected = new Set<string>()
  const unasked = new Set<string>()
  let isAsking = false
  let pace: ClientTimer | undefined

  const of = (id: string): Iterable<Waiter> => waiters.get(id) ?? []

  function add (id: string, waiter: Waiter): () => void {
    const list = waiters.get(id) ?? new Set()
    const known = states.get(id)
    waiters.set(id, list.add(waiter))
    waiter.wasSeen = expected.has(id)
    if (known) tell(known)
    if (core.closed) waiter.reject(core.closed)
    look(id)
    return () => {
      list.delete(waiter)
      if (!list.size && waiters.get(id) === list) waiters.delete(id)
    }
  }

  function tell (mission: MissionState): void {
    expected.delete(mission.missionId)
    for (const waiter of of(mission.missionId)) {
      waiter.wasSeen = true
      if (isEnding(mission.status)) waiter.resolve(mission)
    }
  }

  function look (id: string): void {
    if (!isSettled() || states.has(id) || expected.has(id)) return
    unasked.add(id)
    if (!isAsking) askNext()
  }

  async function askNext (): Promise<void> {
    const [id] = unasked
    isAsking = id !== undefined
    if (id === undefined) return
    unasked.delete(id)
    try {
      tell((await ask<'mission_get'>({ type: 'mission_get', missionId: id }))[0].payload)
    } catch (err) {
      // It may have come meanwhile. An answer that got lost is asked for again with the next connection or the next heartbeat.
      if ((err as ClientError).reason === 'unknown_mission' && !states.has(id)) {
        for (const { wasSeen, reject } of of(id)) reject(new ClientError(wasSeen ? 'LOST' : 'NOT_FOUND', id))
      }
    }
    pace = clock.after(PACE_MS, askNext)
  }

  function askMissing (): void {
    for (const id of waiters.keys()) look(id)
  }

  return {
    add,
    async wait (id, { timeoutMs, signal } = {}) {
      let abort!: () => void
      let remove!: () => void
      let timer: ClientTimer | undefined
      try {
        return await new Promise((resolve, reject) => {
          const stop = (name: ClientErrorName) => () => reject(new ClientError(name, id, signal?.reason))
          abort = stop('ABORTED')
          if (signal?.aborted) abort()
          signal?.addEventListener('abort', abort)
          if (timeoutMs !== undefined) timer = clock.after(timeoutMs, stop('TIMEOUT'))
          remove = add(id, { resolve, reject })
        })
      } finally {
        remove()
        timer?.cancel()
        signal?.removeEventListener('abort', abort)
      }
    },
    tell,
    expect (id) { if (!states.has(id)) expected.add(id) },
    askMissing,
    beat () {
      askMissing()
      expected.clear()
    },
    down () {
      expected.clear()
      unasked.clear()
    },
    close (error) {
      pace?.cancel()
      for (const id of waiters.keys()) for (const { reject } of of(id)) reject(error)
    }
  }
}
