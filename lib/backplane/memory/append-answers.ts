import type { AppendBatch, Verdict } from '../contract.js'

/** How many answers are kept for each instance. Only the last batch is sent again, but late copies may follow it. */
const ANSWERS = 16

interface Answers { last: number, readonly verdicts: Map<number, readonly Verdict[]> }

/** The answers to batches, by instance and number, so that a batch that is sent again is not appended again. */
export class AppendAnswers {
  readonly #instances = new Map<string, Answers>()

  /** The verdicts about a batch if it was appended before: `repeated` for all steps if they are no longer kept. */
  find (instance: string, { number, steps }: AppendBatch): readonly Verdict[] | undefined {
    const answers = this.#instances.get(instance)
    if (answers === undefined || number > answers.last) return undefined
    return answers.verdicts.get(number) ?? steps.map(() => 'repeated')
  }

  put (instance: string, number: number, verdicts: readonly Verdict[]): void {
    const answers = this.#instances.get(instance) ?? { last: 0, verdicts: new Map() }
    this.#instances.set(instance, answers)
    answers.last = number
    answers.verdicts.set(number, verdicts)
    if (answers.verdicts.size > ANSWERS) answers.verdicts.delete(answers.verdicts.keys().next().value!)
  }

  forget (instance: string): void {
    this.#instances.delete(instance)
  }
}
