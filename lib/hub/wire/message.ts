import type { ChannelName } from '../../../schemas/channels/index.js'
import { deflateFrame, encodeTextFrame, payloadOf } from './frames.js'

/** The frames a connection reads: plain, or deflated with a window of this many bits. */
export type Encoding = 'plain' | number

/** Smaller messages are sent plain: compressing them costs more than the bytes it saves. */
const COMPRESS_FROM_BYTES = 1_024

/**
 * The position of a message in the log: `offset` counts the messages of its channel, from 1; `sequence` counts those of
 * all channels.
 */
export interface LogPosition { offset: number, sequence: number }

/** How a message is delivered. */
export interface MessageOptions {
  /** The id on the wire. */
  id?: string | undefined
  /** Absent for replies and other messages that belong to no channel. */
  channel?: ChannelName | undefined
  /** Present for a reliable message, which is in the log. */
  position?: LogPosition | undefined
  /** Present for a replaceable message: a newer one with the same key replaces it while it is pending. */
  key?: string | undefined
  /** The key of the replaceable message that this one makes obsolete. */
  supersedes?: string | undefined
  /** What the filters of its channel look at. */
  attributes?: object | undefined
}

/** One message of the server, encoded and framed once and shared by all connections that receive it. */
export class Message {
  static #createdCount = 0

  /** The number of messages created so far in this process. */
  static get createdCount (): number { return Message.#createdCount }

  readonly frame: Buffer
  /** The size of the plain frame. */
  readonly bytes: number
  /** How many messages were created before this one. */
  readonly creationIndex = Message.#createdCount++
  readonly id: string
  readonly channel: ChannelName | undefined
  readonly position: LogPosition | undefined
  readonly key: string | undefined
  readonly supersedes: string | undefined
  readonly attributes: object | undefined
  #deflated: Map<number, Buffer> | undefined

  constructor (text: string, { id = '', channel, position, key, supersedes, attributes }: MessageOptions = {}) {
    this.frame = encodeTextFrame(text)
    this.bytes = this.frame.length
    this.id = id
    this.channel = channel
    this.position = position
    this.key = key
    this.supersedes = supersedes
    this.attributes = attributes
  }

  /** The JSON text as bytes; shares the memory of the frame. */
  get text (): Buffer { return payloadOf(this.frame) }

  /** The whole frame in an encoding; compressed at most once per window size. */
  encoded (encoding: Encoding): Buffer {
    if (encoding === 'plain' || this.bytes < COMPRESS_FROM_BYTES) return this.frame
    const deflated = (this.#deflated ??= new Map())
    const known = deflated.get(encoding)
    if (known !== undefined) return known
    const frame = deflateFrame(this.frame, encoding)
    deflated.set(encoding, frame)
    return frame
  }

  /** A copy that says how many older messages it replaced. */
  conflated (count: number): Message {
    return new Message(`${this.text.toString().slice(0, -1)},"conflated":${count}}`, this)
  }
}

/** A reliable message: it belongs to a channel and has a position in the log. */
export type LoggedMessage = Message & { readonly channel: ChannelName, readonly position: LogPosition }
