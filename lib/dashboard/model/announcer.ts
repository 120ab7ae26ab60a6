import { signal } from '@preact/signals-core'
import type { PageAlert } from './alerts.js'
import { cleanLine } from './format.js'
import type { Mission } from './missions/mission.js'

/** Polite texts are collected for this time, so that a screen reader is not flooded. */
export const ANNOUNCE_MS = 5_000

/** The texts for screen readers: endings in batches, new critical alerts at once. */
export class Announcer {
  readonly polite = signal('')
  readonly assertive = signal('')
  #failed = 0
  #stopped = 0
  #completed = 0
  #texts: string[] = []

  /** Takes a mission whose phase has changed. */
  addEnding ({ phase }: Mission): void {
    if (phase === 'error') this.#failed++
    else if (phase === 'cancelled') this.#stopped++
    else if (phase === 'completed') this.#completed++
  }

  /** Adds a text about the page itself to the next batch. */
  say (text: string): void {
    this.#texts.push(text)
  }

  addAlert ({ anomaly: { severity, message } }: PageAlert): void {
    if (severity === 'critical') this.assertive.value = `Critical alert: ${cleanLine(message)}`
    else this.say(`Alert: ${cleanLine(message)}`)
  }

  /** Publishes the collected announcements. Call it every `ANNOUNCE_MS`. Completed missions alone are not announced. */
  publish (): void {
    const texts = [...this.#texts.splice(0)]
    if (this.#failed > 0) texts.push(count(this.#failed, 'failed'))
    if (this.#stopped > 0) texts.push(count(this.#stopped, 'cancelled'))
    if (texts.length > 0 && this.#completed > 0) texts.push(count(this.#completed, 'completed'))
    this.#failed = this.#stopped = this.#completed = 0
    if (texts.length > 0) this.polite.value = texts.join('. ')
  }
}

const count = (missions: number, what: string): string =>
  `${missions} ${missions === 1 ? 'mission' : 'missions'} ${what}`
