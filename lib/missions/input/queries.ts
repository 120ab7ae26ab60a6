import { MissionFilter, MissionQuery } from '../../../schemas/mission.js'
import { compile } from '../../base/validation.js'
import { checkObject, checkSchema, checkStatus } from './checks.js'

const validateFilter = compile(MissionFilter)
const validateQuery = compile(MissionQuery)

/** @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION */
export function checkFilter (filter: MissionFilter): void {
  checkObject(filter, 'the filter')
  if (filter.status !== undefined) checkStatus(filter.status)
  checkSchema(validateFilter, filter, 'filter ')
}

/** @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION */
export function checkQuery (query: MissionQuery): void {
  checkObject(query, 'the query')
  if (query.status !== undefined) checkStatus(query.status)
  checkSchema(validateQuery, query, 'query ')
}
