import { MISSION_STATUSES } from '../../../../schemas/mission.js'
import type { LogStep, MissionLogStep, PublicationStep } from '../../contract.js'

/** The marks of a mission, which are added up to a character after `0`. The scripts know these numbers. */
const MARK = { isRun: 1, isStart: 2, isReliable: 4, isLost: 8, isLater: 16 } as const

/** The marks of a publication: whether it has a value to retain, and whether the log keeps it. */
export const PUBLICATION_MARK = { retains: 1, keeps: 2, isReliable: 4 } as const

const MAX_RETAINED_KEY = 64
const MAX_RETAINED_VALUE = 65_536

const STATUS_DIGIT = new Map<string, string>(MISSION_STATUSES.map((status, rank) => [status, String(rank)]))

const mark = (isSet: boolean, value: number): number => isSet ? value : 0

/** Whether the log can keep what a step retains. */
export const isRetainable = ({ key, value }: NonNullable<PublicationStep['retain']>): boolean =>
  key.length <= MAX_RETAINED_KEY && value.length <= MAX_RETAINED_VALUE

/** Appends the six arguments of each step for the script. */
export function pushSteps (args: Array<string | number>, steps: readonly LogStep[]): void {
  for (const step of steps) {
    if (step.kind === 'mission') pushMission(args, step)
    else pushPublication(args, step)
  }
}

function pushMission (args: Array<string | number>, step: MissionLogStep): void {
  const { id, tenant, attempt, status, isRun, isStart, isReliable, lostWith, durationMs, messageId } = step
  const marks = mark(isRun, MARK.isRun) + mark(isStart, MARK.isStart) + mark(isReliable, MARK.isReliable) +
    mark(lostWith !== undefined, MARK.isLost) + mark(attempt !== 1, MARK.isLater)
  const lengths = `${tenant?.length ?? -1},${messageId.length},${id.length}`
  const head = `m${STATUS_DIGIT.get(status)}${String.fromCharCode(48 + marks)}${attempt},${durationMs},${lengths}`
  args.push(lostWith === undefined ? head : `${head},${lostWith}`, id, tenant ?? '', messageId, step.update, step.state)
}

function pushPublication (args: Array<string | number>, step: PublicationStep): void {
  const { channel, tenant, isReliable, messageId, update, retain } = step
  const marks = mark(isReliable, PUBLICATION_MARK.isReliable) +
    mark(retain !== undefined, PUBLICATION_MARK.retains) +
    mark(retain !== undefined && isRetainable(retain), PUBLICATION_MARK.keeps)
  const lengths = `${tenant?.length ?? -1},${messageId.length},${channel.length}`
  const head = `p0${String.fromCharCode(48 + marks)}1,0,${lengths},${retain?.key ?? ''}`
  args.push(head, channel, tenant ?? '', messageId, update, retain?.value ?? '')
}
