import { createHmac, randomBytes } from 'node:crypto'

const ROUNDS = [0, 1, 2, 3]
/** A number of 52 bits has at most 16 digits, and consists of two halves. */
const HALF = 2 ** 26
const LIMIT = HALF * HALF

/**
 * The cursors of pages. Missions of all tenants are numbered together, and the difference of two numbers would tell a
 * tenant how much the others do; so the numbers are permuted with a secret.
 */
export class PageCursors {
  #secret: string | Buffer = randomBytes(32)

  /** From now on, other processes with this secret understand the cursors. */
  share (secret: string): void {
    this.#secret = secret
  }

  /** The cursor of the page after a mission. */
  encode (number: number): string {
    let [left, right] = [Math.floor(number / HALF), number % HALF]
    for (const round of ROUNDS) [left, right] = [right, left ^ this.#scramble(round, right)]
    return String(left * HALF + right)
  }

  /** The number of the mission before the page; that of no mission for a cursor that `encode` has not returned. */
  decode (cursor: string): number {
    const permuted = Number(cursor)
    if (permuted >= LIMIT) return Infinity
    let [left, right] = [Math.floor(permuted / HALF), permuted % HALF]
    for (const round of ROUNDS.toReversed()) [left, right] = [right ^ this.#scramble(round, left), left]
    return left * HALF + right
  }

  #scramble (round: number, half: number): number {
    return createHmac('sha256', this.#secret).update(`${round} ${half}`).digest().readUInt32BE() % HALF
  }
}
