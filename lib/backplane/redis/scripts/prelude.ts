/** The version of everything that is stored. Processes of another one refuse to join. */
export const FORMAT = 1

/** How long keys live without use, in ms: 7 days. */
export const KEY_TTL_MS = 604_800_000

/** Streams of reliable entries: one for entries without a tenant, the others for tenants by a hash. */
export const HISTORY_SHARDS = 9

/**
 * What all scripts begin with. `KEYS[1]` is the hash `meta`; the names of the other keys start like its name, so that
 * they are in the same slot of a cluster, and begin with the `keyPrefix` of the client.
 */
export const PRELUDE = String.raw`
local call = redis.call
local META = KEYS[1]
local PREFIX = string.sub(META, 1, -5)
local INSTANCES, FENCED, SERVICES = PREFIX .. 'instances', PREFIX .. 'fenced', PREFIX .. 'services'
local TTL = '${KEY_TTL_MS}'

local function clock ()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function expire (...)
  for _, name in ipairs({ ... }) do call('PEXPIRE', PREFIX .. name, TTL) end
end

-- Once an hour: every key that is not of a single mission or instance.
local function refresh (at, refreshedAt)
  if at - (tonumber(refreshedAt) or 0) < 3600000 then return end
  call('HSET', META, 'refreshedAt', at)
  expire('meta', 'log', 'log:sizes', 'index', 'counts', 'counts:idle', 'heads', 'heads:age', 'retained', 'retained:age',
    'instances', 'fenced', 'services')
  for shard = 0, ${HISTORY_SHARDS - 1} do expire('history:' .. shard, 'history:' .. shard .. ':sizes') end
end
`
