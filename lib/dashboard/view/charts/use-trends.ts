import { useSignal, useSignalEffect } from '@preact/signals'
import { computeTrends, type Bucket } from '../../model/missions/trends.js'
import type { Session } from '../../model/session.js'

const EVERY_MS = 2_000

interface Cached {
  at: number
  version: number
  tenant: string
  completeSinceMs: number
  buckets: Bucket[]
}

const cache = new WeakMap<Session, Cached>()

/** The buckets of the last 30 minutes, computed at most every two seconds and shared by all views. */
export function trendsOf (session: Session): Bucket[] {
  const nowMs = session.now.peek()
  const version = session.missions.version.peek()
  const known = cache.get(session)
  const tenant = session.missions.tenant.peek()
  const completeSinceMs = session.archive.completeSinceMs.peek()
  const isSame = known?.tenant === tenant && known.completeSinceMs === completeSinceMs
  const isFresh = isSame && nowMs - known.at < EVERY_MS
  if (isFresh && (known.version === version || nowMs !== known.at)) return known.buckets
  const buckets = computeTrends({ entries: session.missions.all(), nowMs, completeSinceMs })
  cache.set(session, { at: nowMs, version, tenant, completeSinceMs, buckets })
  return buckets
}

export function useTrends (session: Session): readonly Bucket[] {
  const buckets = useSignal<readonly Bucket[]>(trendsOf(session))
  useSignalEffect(() => {
    // Each second, when the first missions have been loaded, and for another tenant.
    const { now, isLoaded, missions: { tenant } } = session
    if (now.value >= 0 && isLoaded.value !== undefined && tenant.value !== undefined) buckets.value = trendsOf(session)
  })
  return buckets.value
}
