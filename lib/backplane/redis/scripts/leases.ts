/** How many fenced instances are known: enough for a week, unless processes crash in a loop. */
const MAX_FENCED = 10_000

/**
 * Functions for leases. A lease that has lapsed stays in the set until another instance fences it, so that one that was
 * only slow goes on if nobody has noticed.
 */
export const LEASES = String.raw`
-- If nobody has renewed for a while, or the clock went back, Redis was away or all processes were stopped: every lease
-- begins again, so that nobody is fenced before it had the time to renew.
local function grace (at, renewedAt, leaseMs)
  local silence = at - (tonumber(renewedAt) or at)
  if silence >= 0 and silence <= leaseMs / 2 then return end
  for _, id in ipairs(call('ZRANGE', INSTANCES, 0, -1)) do call('ZADD', INSTANCES, at + leaseMs, id) end
end

local function fence (id, at)
  call('ZADD', FENCED, at, id)
  call('ZREM', INSTANCES, id)
  call('HDEL', SERVICES, id)
  call('DEL', PREFIX .. 'answers:' .. id)
  local excess = call('ZCARD', FENCED) - ${MAX_FENCED}
  if excess > 0 then call('ZPOPMIN', FENCED, excess) end
  expire('fenced')
end
`
