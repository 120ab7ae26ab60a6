import { MISSION_FORMAT } from './missions.js'
import { PRELUDE } from './prelude.js'

/** How many missions a page has at most, and how many bytes of states, unless the first is larger. */
const PAGE = 500
const PAGE_BYTES = 4_194_304

/** A state above this is broken: nothing in this package writes one. */
const MAX_STATE_BYTES = 1_048_576

/**
 * A page of missions in the order in which they were first stored. `ARGV`: the score to read on from, and the last one,
 * which is empty for the first page: what is stored later is not part of the pages, or they would never end. Returns
 * the score of the last mission of the page, empty after the last page; the last score; how many missions were broken;
 * and 12 values for each other mission. Missions that have expired are removed from the index. The script creates as
 * few tables as it can: it runs for all missions each time that a process starts.
 */
export const STATES = PRELUDE + String.raw`
local meta = call('HMGET', META, 'generation', 'sequence')
local generation, last = meta[1], ARGV[2] ~= '' and ARGV[2] or meta[2] or '0'
local missions, index, unpack_values = PREFIX .. 'm:', PREFIX .. 'index', struct.unpack
local list = call('ZRANGEBYSCORE', index, ARGV[1], last, 'WITHSCORES', 'LIMIT', 0, ${PAGE})
local result, size, bytes, cursor, broken = { '', last, 0 }, 3, 0, '', 0

for from = 1, #list, 2 do
  local id = list[from]
  local fields = redis.pcall('HMGET', missions .. id, 'h', 'd')
  if not fields.err and not fields[1] then
    call('ZREM', index, id)
  else
    local state = fields[2] or ''
    local is_mission, mission_generation, attempt, status, seq, is_run, started_at, sequence, offset, tenant_offset, _,
      owner, tenant = pcall(unpack_values, '${MISSION_FORMAT}', fields[1])
    if is_mission and mission_generation == generation and #state <= ${MAX_STATE_BYTES} then
      result[size + 1], result[size + 2], result[size + 3], result[size + 4] = id, attempt, status, seq
      result[size + 5], result[size + 6], result[size + 7], result[size + 8] = owner, is_run, started_at, sequence
      result[size + 9], result[size + 10], result[size + 11], result[size + 12] = offset, tenant_offset, tenant, state
      size, bytes = size + 12, bytes + #state
    else
      broken = broken + 1
    end
  end
  cursor = list[from + 1]
  if bytes > ${PAGE_BYTES} then break end
end
result[1], result[3] = cursor, broken
return result
`
