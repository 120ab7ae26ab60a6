import type { ExpositionSources } from './sources.js'

/**
 * The sources, each of them read at most once a scrape, so that all figures of one page are of one moment.
 *
 * A registry asks all its metrics in one synchronous run, also when it is the host that scrapes it; what was read in
 * that run is forgotten right after it.
 */
export function readOnceAScrape (sources: ExpositionSources): ExpositionSources {
  return {
    missionTotals: once(() => sources.missionTotals()),
    operations: once(() => sources.operations()),
    health: once(() => sources.health()),
    hub: once(() => sources.hub()),
    callbackErrors: once(() => sources.callbackErrors())
  }
}

function once<T> (read: () => T): () => T {
  let last: { value: T } | undefined
  return () => {
    if (last === undefined) {
      last = { value: read() }
      queueMicrotask(() => { last = undefined })
    }
    return last.value
  }
}
