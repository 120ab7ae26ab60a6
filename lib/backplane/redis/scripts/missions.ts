import { FIRST_TERMINAL } from './lifecycle.js'

/** How long a mission is stored after its end, in ms: 25 hours. */
const ENDED_TTL_MS = 90_000_000

/**
 * The missions of a batch. Each is read once, when its first step comes, and written once, after the last step. The
 * hash of a mission has two fields: `h`, all but the state, packed with MessagePack, and `d`, the state. Its time to
 * live is set anew when the mission starts or ends, and at most once an hour else.
 */
export const MISSIONS = String.raw`
local missions, touched, leftovers = {}, {}, {}

local function read_mission (id)
  local header = redis.pcall('HGET', PREFIX .. 'm:' .. id, 'h')
  if not header then return false end
  -- Deleted, unless it turns out to be a mission: garbage, or from a log that is gone.
  leftovers[id] = true
  if type(header) ~= 'string' then return false end
  local is_read, generation, attempt, status, seq, owner, is_run, started_at, sequence, offset, tenant_offset,
    expiry, tenant = pcall(cmsgpack.unpack, header)
  if not is_read or generation ~= GENERATION or type(tenant) ~= 'string' then return false end
  leftovers[id] = nil
  return { attempt = attempt, status = status, seq = seq, owner = owner, is_run = is_run, started_at = started_at,
    sequence = sequence, offset = offset, tenant_offset = tenant_offset, expiry = expiry, tenant = tenant }
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
    local m, key = missions[id], PREFIX .. 'm:' .. id
    local has_ended = m.status >= ${FIRST_TERMINAL}
    local expiry = has_ended and -1 or hour
    if leftovers[id] then call('DEL', key) end
    local header = cmsgpack.pack(GENERATION, m.attempt, m.status, m.seq, m.owner, m.is_run, m.started_at, m.sequence,
      m.offset, m.tenant_offset, expiry, m.tenant)
    if m.state then call('HSET', key, 'h', header, 'd', m.state) else call('HSET', key, 'h', header) end
    if expiry ~= m.expiry then call('PEXPIRE', key, has_ended and '${ENDED_TTL_MS}' or TTL) end
    if m.is_new then
      starts[#starts + 1] = m.started_at
      starts[#starts + 1] = id
    end
  end
  -- A mission keeps its place over all attempts, so that a process that reads page by page does not miss it.
  add_sorted('index', starts, 'NX')
end
`
