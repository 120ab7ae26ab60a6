import type { LogEntry, MissionEntry, MissionLogStep } from '../../contract.js'
import type { StandCheck } from '../check.js'
import { demandEqual } from '../demand.js'
import { messageOf, runOf, stepOf } from '../steps.js'

/** Texts that a careless encoding changes. */
const TEXTS = [
  'plain', 'null', 'false', '0', '1e3', '{}', '[]', '"', "'", '\\', '\n\r\t', '\u0000\u0001', '🚀 é 漢', '%s %d', ':',
  '|', '*', '__proto__', 'constructor', '{braces}', ' ', 'x'.repeat(256)
]

const LARGEST_ATTEMPT = 2 ** 52

/** What an entry takes over from its step. */
const told = ({ tenant, attempt, status, durationMs, messageId, update, state }: MissionLogStep | MissionEntry) =>
  ({ tenant, attempt, status, durationMs, messageId, update, state })

const isOf = (id: string) => (entry: LogEntry): entry is MissionEntry => entry.kind === 'mission' && entry.id === id

export const TEXT_CHECKS: readonly StandCheck[] = [
  {
    title: 'Every text of a mission returns unchanged: in its entry, in its state and in the history',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      const steps = TEXTS.map((text) => runOf(text, { tenant: text, messageId: text, update: text, state: text }))
      await member.apply(...steps)
      const entries = await other.entries()
      const states = await other.states()
      const history = (await other.call('history', other.log.history())).flatMap((batch) => batch.entries)
      for (const step of steps) {
        const name = JSON.stringify(step.id)
        demandEqual(entries.filter(isOf(step.id)).map(told), [told(step)], `the entry of the mission ${name}`)
        demandEqual(states.get(step.id)?.state, step.state, `the state of the mission ${name}`)
        demandEqual(states.get(step.id)?.tenant, step.tenant, `the tenant of the mission ${name}`)
        const kept = history.filter(isOf(step.id)).map(told)
        demandEqual(kept, [told({ ...step, state: '' })], `the history of the mission ${name}`)
      }
    }
  },
  {
    title: 'Every text of another message returns unchanged',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(...TEXTS.map((text) => messageOf('health_delta', text, { tenant: text, update: text })))
      const found = (await other.entries()).map((entry) => entry.kind === 'publication' &&
        [entry.tenant, entry.messageId, entry.update, entry.retain])
      demandEqual(found, TEXTS.map((text) => [text, text, text, undefined]), 'the messages')
    }
  },
  {
    title: 'Large and fractional numbers return unchanged',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      const attempt = LARGEST_ATTEMPT
      await member.apply(runOf('a', { attempt }))
      await member.apply(stepOf('a', 'completed', { attempt, durationMs: 0.1 + 0.2 }))
      await member.apply(stepOf('b', 'completed', { durationMs: 123_456_789_012.25 }))
      const entries = await other.entries()
      const found = entries.map((entry) => entry.kind === 'mission' && [entry.attempt, entry.durationMs])
      demandEqual(found, [[attempt, 0], [attempt, 0.1 + 0.2], [1, 123_456_789_012.25]], 'the attempts and durations')
      demandEqual((await other.states()).get('a')?.attempt, attempt, 'the stored attempt')
    }
  },
  {
    title: 'A text of 200,000 characters returns unchanged',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      const state = JSON.stringify('é'.repeat(200_000))
      await member.apply(runOf('a', { state, update: state }))
      const [entry] = await other.entries()
      demandEqual(entry?.update, state, 'the update')
      demandEqual((await other.states()).get('a')?.state, state, 'the state')
    }
  }
]
