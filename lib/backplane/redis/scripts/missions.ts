import { FIRST_TERMINAL } from './lifecycle.js'

/** How long a mission is stored after its last step while it is active, and after its end, in ms: 7 days, 25 hours. */
const ACTIVE_MS = 604_800_000
const ENDED_MS = 90_000_000

/** An active mission that is not stored any more is kept for another day, so that the counts can be corrected. */
const EXPIRED_MS = 86_400_000

/** How many stored missions are looked at for each new one, and at most for a batch. */
const SWEEP = 2
const MAX_SWEEP = 100

/**
 * The hash of a mission has two fields: `h`, all but the state, in this format, and `d`, the state. It is only valid in
 * a log of its generation. The format has room for 2^56 attempts and for 2^48 sequences.
 */
export const MISSION_FORMAT = '<c8I7BI6BI6I6I6I6I4I2c0I2c0'

export const MISSION = String.raw`
local MISSION_FORMAT = '${MISSION_FORMAT}'

-- Fails for a text that is no mission.
local function unpack_mission (header, expected)
  local generation, attempt, status, seq, is_run, started_at, sequence, offset, tenant_offset, expiry, owner, tenant =
    struct.unpack(MISSION_FORMAT, header)
  if generation ~= expected then error('another generation') end
  return { attempt = attempt, status = status, seq = seq, owner = owner, is_run = is_run == 1, tenant = tenant,
    started_at = started_at, sequence = sequence, offset = offset, tenant_offset = tenant_offset, expiry = expiry }
end
`

/**
 * The missions of a batch. Each is read once, when its first step comes, and written once, after the last step. Its
 * time to live is set anew when it starts or ends, and otherwise at most once an hour.
 */
export const MISSIONS = String.raw`
local missions, touched, keys, leftovers = {}, {}, {}, {}

local function read_mission (id)
  local key = PREFIX .. 'm:' .. id
  keys[id] = key
  local header = redis.pcall('HGET', key, 'h')
  if not header then return false end
  local is_mission, mission = pcall(unpack_mission, header, GENERATION)
  if is_mission then return mission end
  -- Garbage, or from a log that is gone.
  leftovers[id] = true
  return false
end

local function find_mission (id)
  local mission = missions[id]
  if mission == nil then
    mission = read_mission(id)
    missions[id] = mission
  end
  return mission
end

local function write_missions (at)
  local hour, starts = math.floor(at / 3600000), {}
  for _, id in ipairs(touched) do
    local m, key = missions[id], keys[id]
    local has_ended = m.status >= ${FIRST_TERMINAL}
    local expiry = has_ended and 0 or hour
    if leftovers[id] then call('DEL', key) end
    local header = struct.pack(MISSION_FORMAT, GENERATION, m.attempt, m.status, m.seq, m.is_run and 1 or 0,
      m.started_at, m.sequence, m.offset, m.tenant_offset, expiry, #m.owner, m.owner, #m.tenant, m.tenant)
    if m.state then call('HSET', key, 'h', header, 'd', m.state) else call('HSET', key, 'h', header) end
    if expiry ~= m.expiry then call('PEXPIRE', key, has_ended and '${ENDED_MS}' or '${ACTIVE_MS + EXPIRED_MS}') end
    if m.is_new then
      starts[#starts + 1] = m.started_at
      starts[#starts + 1] = id
    end
  end
  -- A mission keeps its place over all attempts, so that a process that reads page by page does not miss it.
  add_sorted('index', starts, 'NX')
  return #starts / 2
end

-- Looks for missions in the index that have expired, a few at a time. An active one is no longer counted.
local function sweep (new, from)
  if new == 0 then return end
  local limit = math.min(new * ${SWEEP}, ${MAX_SWEEP})
  local list = call('ZRANGEBYSCORE', PREFIX .. 'index', '(' .. (from or '0'), '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  for at = 1, #list, 2 do
    local id = list[at]
    local left = call('PTTL', PREFIX .. 'm:' .. id)
    local mission = left >= 0 and left < ${EXPIRED_MS} and find_mission(id)
    local is_idle = mission and mission.status < ${FIRST_TERMINAL} and not mission.is_touched
    if left == -2 or is_idle then call('ZREM', PREFIX .. 'index', id) end
    if is_idle then
      call('DEL', PREFIX .. 'm:' .. id)
      forget('*')
      if mission.tenant ~= '' then forget('=' .. mission.tenant) end
    end
  end
  call('HSET', META, 'swept', #list < limit * 2 and '0' or list[#list])
end
`
