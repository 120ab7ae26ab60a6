import { styleText } from 'node:util'
import type { WriteStream } from 'node:tty'

export type Style = Parameters<typeof styleText>[0]

/** Lines that stay and, on a terminal, one line below them that is written over. */
export class Screen {
  readonly #out: WriteStream
  #status = ''

  constructor (out: WriteStream) {
    this.#out = out
  }

  /** Whether somebody looks at it, and not a file or a pipe. */
  get isTerminal (): boolean { return this.#out.isTTY === true }

  /** Colours text where colours can be seen and are wanted (https://no-color.org). */
  paint (style: Style, text: string): string {
    return this.isTerminal && !process.env['NO_COLOR'] ? styleText(style, text) : text
  }

  line (text: string): void {
    this.#out.write(this.isTerminal ? `\r\u001b[K${text}\n${this.#status}` : `${text}\n`)
  }

  /** Replaces the last line; nothing happens where nobody looks. Must be plain text, as it is cut to the width. */
  status (text: string): void {
    if (!this.isTerminal) return
    this.#status = this.paint('dim', text.slice(0, this.#out.columns - 1))
    this.#out.write(`\r\u001b[K${this.#status}`)
  }
}
