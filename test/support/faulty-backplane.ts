import type { Backplane, SharedLog } from '../../lib/backplane/contract.js'

/** What happens to the calls of one process. */
export type Fault = 'none' | 'refused' | 'silent'

/** A backplane as one process sees it, whose calls can be made to fail or to hang. */
export interface FaultyBackplane extends Backplane {
  fault: Fault
  /** The calls that must fail or hang; all of them by default. */
  only: ReadonlyArray<keyof SharedLog> | undefined
  /** The names of the calls so far. */
  readonly calls: string[]
}

/** Wraps a backplane for one process. Calls that were silent go on once the fault is over. */
export function createFaultyBackplane (backplane: Backplane): FaultyBackplane {
  let waiting: Array<() => void> = []
  let fault: Fault = 'none'
  const faulty: FaultyBackplane = {
    leaseMs: backplane.leaseMs,
    only: undefined,
    calls: [],
    get fault () { return fault },
    set fault (next) {
      fault = next
      const resumed = waiting
      waiting = []
      for (const resume of resumed) resume()
    },
    connect (context) {
      const log = backplane.connect({ ...context, onMessage: (text) => { if (fault === 'none') context.onMessage(text) } })
      return new Proxy(log, {
        get (target, name: keyof SharedLog) {
          if (name === 'states') return () => target.states()
          return async (...args: never[]) => {
            faulty.calls.push(name)
            const isHit = () => fault !== 'none' && name !== 'close' && (faulty.only?.includes(name) ?? true)
            while (isHit()) {
              if (fault === 'refused') throw new Error('the backplane is away')
              await new Promise<void>((resolve) => { waiting.push(resolve) })
            }
            return await (target[name] as (...args: never[]) => Promise<unknown>).apply(target, args)
          }
        }
      })
    }
  }
  return faulty
}
