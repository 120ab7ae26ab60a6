import { styleText } from 'node:util'
import type { WriteStream } from 'node:tty'

export type Style = Parameters<typeof styleText>[0]

/** Output with permanent lines and, on a terminal, a status line below them. */
export class Screen {
  readonly #out: WriteStream
  #status = ''

  constructor (out: WriteStream) {
    this.#out = out
  }

  /** Whether the output is a terminal, not a file or a pipe. */
  get isTerminal (): boolean { return this.#out.isTTY === true }

  /** Colours text on a terminal, unless NO_COLOR is set (https://no-color.org). */
  paint (style: Style, text: string): string {
    return this.isTerminal && !process.env['NO_COLOR'] ? styleText(style, text) : text
  }

  line (text: string): void {
    this.#out.write(this.isTerminal ? `\r\u001b[K${text}\n${this.#status}` : `${text}\n`)
  }

  /** Replaces the status line on a terminal. `text` must be plain text, because it is cut to the width. */
  status (text: string): void {
    if (!this.isTerminal) return
    this.#status = this.paint('dim', text.slice(0, this.#out.columns - 1))
    this.#out.write(`\r\u001b[K${this.#status}`)
  }
}
