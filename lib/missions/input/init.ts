import { MAX_ATTEMPT } from '../../../schemas/limits.js'
import { MissionInit } from '../../../schemas/mission.js'
import { copyObject } from '../../base/copy.js'
import { InvalidMission } from '../../base/errors.js'
import { compile } from '../../base/validation.js'
import { readSafely } from '../payload/json-copy.js'
import { checkOrder } from '../state/parts/times.js'
import type { CheckedInit, ReportDetails, TextCuts } from '../types.js'
import { checkSchema, checkWellFormed } from './checks.js'
import { DETAIL_NAMES } from './details.js'
import { readTime } from './time.js'

/** Stands in for an empty name. */
export const UNNAMED = 'unnamed'
const MAX_NAME_CHARACTERS = 256
const MAX_OBJECTIVE_CHARACTERS = 2_048
const MAX_TAGS = 10
const MAX_TAG_CHARACTERS = 128

/** What only a report that registers a mission reads. */
const REPORT_NAMES = ['name', 'objective', 'tags', 'tenant', 'timeoutMs']

const INIT_NAMES = Object.keys(MissionInit.properties)
const validateInit = compile(MissionInit)

/**
 * A checked copy of what a mission is started with: a name, or an object. Wrong types are refused, long texts are cut.
 *
 * @throws FST_MC_INVALID_MISSION with the property that is wrong; FST_MC_INVALID_TIME
 */
export function readInit (init: string | MissionInit, cuts: TextCuts, now: number): CheckedInit & { name: string } {
  const copy = typeof init === 'string' ? { name: init } : copyOnce(init)
  checkSchema(validateInit, copy)
  const { name, ...rest } = copy as MissionInit
  return { ...cutTexts(rest, cuts, now), name: cutName(name, cuts) }
}

/** A copy of what a report says, for a report that adds to it. */
export const copyReport = (details: ReportDetails): ReportDetails =>
  copyObject(Object(details) as object, [...REPORT_NAMES, ...DETAIL_NAMES, 'attempt'])

/**
 * Which attempt a report is about.
 *
 * @throws FST_MC_INVALID_MISSION
 */
export function readAttempt (details: ReportDetails): number | 'next' | undefined {
  const attempt = readSafely(details, 'attempt') ?? undefined
  if (attempt === undefined || attempt === 'next') return attempt
  if (typeof attempt === 'number' && Number.isInteger(attempt) && attempt >= 1 && attempt <= MAX_ATTEMPT) return attempt
  throw new InvalidMission(`an attempt must be a whole number from 1 to ${MAX_ATTEMPT}, or "next"`)
}

/**
 * What a report says about the mission that it registers.
 *
 * @throws what `readInit` throws
 */
export function readReportInit (details: ReportDetails, cuts: TextCuts, now: number): CheckedInit {
  const { name, ...init } = readPresent(details, REPORT_NAMES)
  checkSchema(validateInit, { ...init, name: name ?? '' })
  const cut = cutTexts(init, cuts, now)
  return name === undefined ? cut : { ...cut, name: cutName(name, cuts) }
}

/** A name that fits; a placeholder for an empty one. */
export function cutName (name: string, cuts: TextCuts): string {
  return cuts.cut('name', name, MAX_NAME_CHARACTERS) || UNNAMED
}

function cutTexts (init: Partial<MissionInit>, cuts: TextCuts, now: number): CheckedInit {
  const { objective, tags, queuedAt, startedAt, ...rest } = init
  checkWellFormed(rest.id, 'the id')
  checkWellFormed(rest.parentId, 'the parentId')
  checkWellFormed(rest.tenant, 'the tenant')
  const cut: CheckedInit = rest
  if (objective !== undefined) cut.objective = cuts.cut('objective', objective, MAX_OBJECTIVE_CHARACTERS)
  if (tags !== undefined) Object.assign(cut, cutTags(tags, cuts))
  cut.queuedAt = readTime(queuedAt, 'queuedAt', now)
  cut.startedAt = readTime(startedAt, 'startedAt', now)
  checkOrder({ queuedAt: cut.queuedAt ?? null, startedAt: cut.startedAt ?? now })
  return cut
}

function cutTags (tags: readonly string[], cuts: TextCuts): Pick<CheckedInit, 'tags' | 'tagsOmitted'> {
  const kept = tags.filter((tag) => tag !== '').slice(0, MAX_TAGS)
  const tagsOmitted = tags.length - kept.length
  if (tagsOmitted > 0) cuts.count('tags')
  return { tags: kept.map((tag) => cuts.cut('tags', tag, MAX_TAG_CHARACTERS)), tagsOmitted }
}

// `null` is how other systems say that they know nothing.
function readPresent (details: ReportDetails, names: readonly string[]): Partial<MissionInit> {
  const read = names.map((name) => [name, readSafely(details, name)] as const)
  return Object.fromEntries(read.filter(([, value]) => value !== null && value !== undefined))
}

// The host's getters run once. What they throw is not part of the error: it may hold internals of the host.
function copyOnce (init: unknown): unknown {
  try {
    return typeof init === 'object' && init !== null ? copyObject(init, INIT_NAMES) : init
  } catch {
    throw new InvalidMission('a property of it cannot be read')
  }
}
