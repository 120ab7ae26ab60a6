import type { ChannelName } from '../../../schemas/channels/index.js'
import { deflateFrame, encodeTextFrame, payloadOf } from './frames.js'

/** How a connection wants its frames: plain, or deflated within a window of so many bits. */
export type Encoding = 'plain' | number

/** Below this a message is sent plain: compressing it costs more than its bytes. */
const COMPRESSED_FROM_BYTES = 1_024

/** The place of a message in the log of its channel; `number` is its place among those of all channels. */
export interface MessagePosition { channel: ChannelName, offset: number, sequence: number }

export interface MessageTraits {
  /** Its id on the wire. */
  id?: string | undefined
  /** Absent for replies and whatever concerns no channel. */
  channel?: ChannelName | undefined
  /** There for a message of the log: it must arrive. */
  position?: MessagePosition | undefined
  /** There for a message that a newer one with the same key may replace while it waits. */
  key?: string | undefined
  /** The key whose waiting message this one makes pointless. */
  supersedes?: string | undefined
  /** What filters ask of it. */
  facts?: object | undefined
}

/** One message of the wire, encoded and framed once and shared by all who get it. */
export class Message {
  static #createdCount = 0

  /** How many messages were made so far. */
  static get createdCount (): number { return Message.#createdCount }

  readonly frame: Buffer
  /** Its place among all messages, by the time of their making. */
  readonly creationIndex = Message.#createdCount++
  readonly id: string
  readonly channel: ChannelName | undefined
  readonly position: MessagePosition | undefined
  readonly key: string | undefined
  readonly supersedes: string | undefined
  readonly facts: object | undefined
  #deflated: Map<number, Buffer> | undefined

  constructor (text: string, { id = '', channel, position, key, supersedes, facts }: MessageTraits = {}) {
    this.frame = encodeTextFrame(text)
    this.id = id
    this.channel = channel
    this.position = position
    this.key = key
    this.supersedes = supersedes
    this.facts = facts
  }

  /** Size of the plain frame. */
  get bytes (): number { return this.frame.length }

  /** The JSON text as bytes; shares the frame's memory. */
  get text (): Buffer { return payloadOf(this.frame) }

  /** The whole frame in an encoding; compressed at most once for each window. */
  encoded (encoding: Encoding): Buffer {
    if (encoding === 'plain' || this.bytes < COMPRESSED_FROM_BYTES) return this.frame
    const deflated = (this.#deflated ??= new Map())
    const known = deflated.get(encoding)
    if (known !== undefined) return known
    const frame = deflateFrame(this.frame, encoding)
    deflated.set(encoding, frame)
    return frame
  }

  /** The same message with the number of older ones that it stands for. */
  conflated (count: number): Message {
    return new Message(`${this.text.toString().slice(0, -1)},"conflated":${count}}`, this)
  }
}
