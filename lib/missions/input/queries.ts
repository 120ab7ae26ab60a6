import { MissionFilter, MissionQuery } from '../../../schemas/mission.js'
import { copyObject } from '../../base/copy.js'
import { compile } from '../../base/validation.js'
import { checkObject, checkSchema, checkStatus } from './checks.js'

type FilterOrId = MissionFilter & { id?: string | undefined }

const validateFilter = compile(MissionFilter)
const validateQuery = compile(MissionQuery)

/**
 * Returns a checked copy, with `q` in lower case. The id is not checked: an unknown one matches no mission.
 *
 * @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION
 */
export function checkFilter (given: FilterOrId): FilterOrId {
  checkObject(given, 'the filter')
  const { id, ...filter }: FilterOrId = copyObject(given, ['id', ...Object.keys(MissionFilter.properties)])
  if (filter.status !== undefined) checkStatus(filter.status)
  checkSchema(validateFilter, filter, 'filter ')
  return { id, ...lowerCased(filter) }
}

/**
 * Returns a checked copy, with `q` in lower case.
 *
 * @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION
 */
export function checkQuery (given: MissionQuery): MissionQuery {
  checkObject(given, 'the query')
  const query: MissionQuery = copyObject(given, Object.keys(MissionQuery.properties))
  if (query.status !== undefined) checkStatus(query.status)
  checkSchema(validateQuery, query, 'query ')
  return lowerCased(query)
}

// Once, and not for each mission that is searched.
const lowerCased = <Filter extends MissionFilter>(filter: Filter): Filter =>
  filter.q === undefined ? filter : { ...filter, q: filter.q.toLowerCase() }
