import type { ChannelName, LoggedChannel } from '../../../schemas/channels/index.js'
import type { Cursor } from '../../../schemas/messages/envelope.js'
import { LOGGED } from '../channels.js'
import type { ClientTimer } from '../connection/platform.js'
import type { ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import type { SubscribedChannel } from './subscribed-channel.js'

export type Cursors = Partial<Record<LoggedChannel, Cursor>>

export interface CursorStore {
  /** Returns the stored cursors of these channels. Invalid values are omitted. */
  load (channels: readonly ChannelName[]): Cursors
  /** Call when a cursor has moved. */
  touch (): void
  /** Stores moved cursors now. */
  save (): void
}

const SAVE_MS = 500

/** Stores cursors across page reloads: shortly after they have moved, and at once when the page is left. */
export function createCursorStore (context: ClientContext): CursorStore {
  const { storage, storageKey, clock, emit } = context
  let timer: ClientTimer | undefined

  function attempt (run: () => unknown): unknown {
    try {
      return run()
    } catch (cause) {
      // Text that is not JSON counts as no cursors. Other errors are emitted later, when listeners can have been added.
      if (!(cause instanceof SyntaxError)) {
        queueMicrotask(() => emit('error', new ClientError('STORAGE_FAILED', storageKey, cause)))
      }
    }
  }

  function save (): void {
    if (!timer) return
    timer.cancel()
    timer = undefined
    attempt(() => storage!.setItem(storageKey, JSON.stringify(cursorsOf(context.subscriptions))))
  }

  return {
    load (channels) {
      const stored = Object(storage && attempt(() => JSON.parse(storage.getItem(storageKey)!))) as Cursors
      const names = LOGGED.filter((name) => channels.includes(name) && isCursor(stored[name]))
      return Object.fromEntries(names.map((name) => [name, pick(stored[name]!)]))
    },
    touch () {
      if (storage) timer ??= clock.after(SAVE_MS, save)
    },
    save
  }
}

/** The cursors of the channels that have one. */
export const cursorsOf = (channels: readonly SubscribedChannel[]): Cursors =>
  Object.fromEntries(channels.filter(({ cursor }) => cursor).map(({ name, cursor }) => [name, cursor]))

/** Copies the cursor out of an object that has more properties. */
export const pick = ({ epoch, offset, id }: Cursor): Cursor => ({ epoch, offset, id })

// Bounds of the service for a cursor.
const CURSOR = /^{"epoch":"[^"]{1,64}","offset":\d{1,15},"id":"[^"]{0,128}"}$/

const isCursor = (value: Cursor | undefined): boolean => CURSOR.test(JSON.stringify(pick(Object(value) as Cursor)))
