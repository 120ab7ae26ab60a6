import { MISSION } from './missions.js'
import { PRELUDE } from './prelude.js'

/** How many missions a page has at most, and how many bytes of states, unless the first is larger. */
const PAGE = 500
const PAGE_BYTES = 4_194_304

/** A state above this is broken: nothing in this package writes one. */
const MAX_STATE_BYTES = 1_048_576

/**
 * A page of missions in the order in which they were first stored. `ARGV`: the score to read on from, and the last one,
 * which is empty for the first page: what is stored later is not part of the pages, or they would never end. Returns
 * the score of the last mission of the page, empty after the last page; the last score; and for each mission its id and
 * 11 values, or none if it is broken. Missions that have expired are removed from the index.
 */
export const STATES = PRELUDE + MISSION + String.raw`
local meta = call('HMGET', META, 'generation', 'sequence')
local generation, last = meta[1], ARGV[2] ~= '' and ARGV[2] or meta[2] or '0'
local list = call('ZRANGEBYSCORE', PREFIX .. 'index', ARGV[1], last, 'WITHSCORES', 'LIMIT', 0, ${PAGE})
local result, bytes, cursor = { '', last }, 0, ''

local function read_state (key)
  local length = redis.pcall('HSTRLEN', key, 'd')
  if type(length) ~= 'number' or length > ${MAX_STATE_BYTES} then return nil end
  return call('HMGET', key, 'h', 'd')
end

for from = 1, #list, 2 do
  local id = list[from]
  local fields = read_state(PREFIX .. 'm:' .. id)
  if fields and not fields[1] then
    call('ZREM', PREFIX .. 'index', id)
  else
    result[#result + 1] = id
    result[#result + 1] = {}
    local is_mission, m = pcall(unpack_mission, fields and fields[1], generation)
    if is_mission then
      result[#result] = { m.attempt, m.status, m.seq, m.owner, m.is_run and 1 or 0, m.started_at, m.sequence, m.offset,
        m.tenant_offset, m.tenant, fields[2] or '' }
      bytes = bytes + #(fields[2] or '')
    end
  end
  cursor = list[from + 1]
  if bytes > ${PAGE_BYTES} then break end
end
result[1] = cursor
return result
`
