import type { Verdict } from '../../contract.js'

const VERDICTS: Readonly<Record<string, Verdict>> = {
  a: 'applied', r: 'repeated', b: 'backward', t: 'terminal', s: 'stale', l: 'lost'
}

/** Verdicts from the letters of the script `APPEND`, which are empty if all `count` steps were applied. */
export function decodeVerdicts (letters: string, count: number): Verdict[] {
  const text = letters === '' ? 'a'.repeat(count) : letters
  return Array.from(text, (letter) => VERDICTS[letter]!)
}
