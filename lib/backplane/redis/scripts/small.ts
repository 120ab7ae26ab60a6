import { FIRST_TERMINAL } from './lifecycle.js'
import { MISSION } from './missions.js'
import { HISTORY_SHARDS, PRELUDE } from './prelude.js'
import { LEASES } from './leases.js'

/** `ARGV`: pairs of the id of a mission and a sequence. */
export const REMOVE = PRELUDE + MISSION + String.raw`
local generation = call('HGET', META, 'generation')
for from = 1, #ARGV, 2 do
  local id = ARGV[from]
  local key = PREFIX .. 'm:' .. id
  local header = redis.pcall('HGET', key, 'h')
  if header then
    local is_mission, mission = pcall(unpack_mission, header, generation)
    if not is_mission or (mission.status >= ${FIRST_TERMINAL} and mission.sequence <= tonumber(ARGV[from + 1])) then
      call('DEL', key)
      call('ZREM', PREFIX .. 'index', id)
    end
  end
end
`

/** `ARGV`: the epoch that ends, and the next one. */
export const RESTART = PRELUDE + String.raw`
if call('HGET', META, 'epoch') ~= ARGV[1] then return end
call('HSET', META, 'epoch', ARGV[2], 'bytes', 0)
call('DEL', PREFIX .. 'log:sizes')
if call('EXISTS', PREFIX .. 'log') == 1 then call('XTRIM', PREFIX .. 'log', 'MAXLEN', 0) end
for shard = 0, ${HISTORY_SHARDS - 1} do
  call('DEL', PREFIX .. 'history:' .. shard, PREFIX .. 'history:' .. shard .. ':sizes')
  call('HDEL', META, 'entries:' .. shard, 'bytes:' .. shard)
end
`

/** `ARGV`: the id of the instance. */
export const LEAVE = PRELUDE + LEASES + String.raw`
if call('ZSCORE', INSTANCES, ARGV[1]) then fence(ARGV[1], clock()) end
`

/**
 * Removes entries of the log that are not batches, in the sense of `encoding/batches.ts`. `ARGV`: their ids. They are
 * looked at again, because after a failover another entry may have the id.
 */
export const PURGE = PRELUDE + String.raw`
local key = PREFIX .. 'log'
for _, id in ipairs(ARGV) do
  local fields = (call('XRANGE', key, id, id)[1] or { id, {} })[2]
  local after = fields[1] == 'b' and
    string.match(fields[2], '^1 [^ ]+ [^ ]+ [^ ]+ (%d+) %d+ %d+ [01] .+$')
  if not after or id ~= (after + math.ceil((#fields - 2) / 4)) .. '-0' then call('XDEL', key, id) end
end
`
