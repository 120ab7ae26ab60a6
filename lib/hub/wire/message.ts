import type { ChannelName } from '../../../schemas/channels/index.js'
import type { ServerMessageType } from '../../../schemas/messages/server-messages.js'
import { deflate, encodeDeflatedFrame, encodeTextFrame, payloadOf, storedBlock } from './frames.js'

/** The frames a connection reads: plain, or deflated with a window of this many bits. */
export type Encoding = 'plain' | number

/** Smaller messages are sent plain: compressing them costs more than the bytes it saves. */
const COMPRESS_FROM_BYTES = 1_024
/** With a short name of the service. */
const ENVELOPE_BYTES = 230

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
  /** When it was published in this process, in ms of the monotonic clock; absent for replies and snapshots. */
  publishedMs?: number | undefined
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
  readonly publishedMs: number | undefined
  readonly #body: MessageBody | undefined
  #deflated: Map<number, Buffer> | undefined

  /** `body` is the end of the text if other messages share it. */
  constructor (text: string, options: MessageOptions = {}, body?: MessageBody) {
    const { id = '', channel, position, key, supersedes, attributes, publishedMs } = options
    this.frame = encodeTextFrame(text, body?.text)
    this.#body = body
    this.bytes = this.frame.length
    this.id = id
    this.channel = channel
    this.position = position
    this.key = key
    this.supersedes = supersedes
    this.attributes = attributes
    this.publishedMs = publishedMs
  }

  /** The JSON text as bytes; shares the memory of the frame. */
  get text (): Buffer { return payloadOf(this.frame) }

  /** The whole frame in an encoding; compressed at most once per window size. */
  encoded (encoding: Encoding): Buffer {
    if (encoding === 'plain' || this.bytes < COMPRESS_FROM_BYTES) return this.frame
    const deflated = (this.#deflated ??= new Map())
    const known = deflated.get(encoding)
    if (known !== undefined) return known
    const frame = encodeDeflatedFrame(...this.#deflate(encoding))
    deflated.set(encoding, frame)
    return frame
  }

  /** A copy that says how many older messages it replaced. */
  conflated (count: number): Message {
    return new Message(`${this.text.toString().slice(0, -1)},"conflated":${count}}`, this)
  }

  // Compressing a shared body once is worth that the few bytes before it are not compressed.
  #deflate (windowBits: number): Buffer[] {
    const { text } = this
    if (this.#body === undefined) return [deflate(text, windowBits)]
    return [storedBlock(text.subarray(0, -this.#body.text.length)), this.#body.deflated(windowBits)]
  }
}

/** A reliable message: it belongs to a channel and has a position in the log. */
export type LoggedMessage = Message & { readonly channel: ChannelName, readonly position: LogPosition }

export interface MessageBodyOptions {
  type: ServerMessageType
  channel: ChannelName
  /** What the filters of the channel look at. */
  attributes?: object | undefined
}

/** A message without its id and its time: the expensive part, encoded once for all messages with this content. */
export class MessageBody {
  readonly type: ServerMessageType
  readonly channel: ChannelName
  readonly attributes: object | undefined
  /** The end of the JSON text. */
  readonly text: Buffer
  /** The last message with this body that several receivers share. */
  shared: Message | undefined
  #deflated: Map<number, Buffer> | undefined

  /** `text` follows the fields of the envelope and the comma after them. */
  constructor (text: string, { type, channel, attributes }: MessageBodyOptions) {
    this.text = Buffer.from(text)
    this.type = type
    this.channel = channel
    this.attributes = attributes
  }

  /** The approximate size of a message with this body. */
  get bytes (): number { return ENVELOPE_BYTES + this.text.length }

  /** Compressed on its own, at most once per window size. */
  deflated (windowBits: number): Buffer {
    const all = (this.#deflated ??= new Map())
    const known = all.get(windowBits)
    if (known !== undefined) return known
    const bytes = deflate(this.text, windowBits)
    all.set(windowBits, bytes)
    return bytes
  }
}
