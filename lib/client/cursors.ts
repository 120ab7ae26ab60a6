import type { ChannelName, LoggedChannel } from '../../schemas/channels/index.js'
import type { Cursor } from '../../schemas/messages/envelope.js'
import { LOGGED } from './channels.js'
import type { ClientContext } from './context.js'
import { ClientError } from './errors.js'
import type { ClientTimer } from './connection/platform.js'

export type Cursors = Partial<Record<LoggedChannel, Cursor>>

export interface CursorStore {
  /** What was kept of these channels; anything that is no cursor is left out. */
  load (channels: readonly ChannelName[]): Cursors
  /** A cursor moved. */
  touch (): void
  /** Writes at once what has moved. */
  flush (): void
}

const SAVE_MS = 500

/** Cursors over a reload. They are written soon after messages were handled, so that a page that crashes gets its last ones again. */
export function createCursorStore ({ storage, storageKey, clock, emit }: ClientContext, read: () => Cursors): CursorStore {
  let timer: ClientTimer | undefined

  function attempt (run: () => unknown): unknown {
    try {
      return run()
    } catch (cause) {
      // What is no JSON is not ours. Later, because nobody can listen while the client is being made.
      if (!(cause instanceof SyntaxError)) queueMicrotask(() => emit('error', new ClientError('STORAGE_FAILED', storageKey, cause)))
      return null
    }
  }

  function flush (): void {
    if (!timer) return
    timer.cancel()
    timer = undefined
    attempt(() => storage!.setItem(storageKey, JSON.stringify(read())))
  }

  return {
    load (channels) {
      const kept = Object(storage && attempt(() => JSON.parse(storage.getItem(storageKey)!))) as Cursors
      return Object.fromEntries(LOGGED.filter((name) => channels.includes(name) && isCursor(kept[name])).map((name) => [name, pick(kept[name]!)]))
    },
    touch () {
      if (storage) timer ??= clock.after(SAVE_MS, flush)
    },
    flush
  }
}

/** A cursor of something that has more than that. */
export const pick = ({ epoch, offset, id }: Cursor): Cursor => ({ epoch, offset, id })

// What a cursor looks like that the service takes.
const CURSOR = /^{"epoch":"[^"]{1,64}","offset":\d{1,15},"id":"[^"]{0,128}"}$/

const isCursor = (value: Cursor | undefined): boolean => CURSOR.test(JSON.stringify(pick(Object(value) as Cursor)))
