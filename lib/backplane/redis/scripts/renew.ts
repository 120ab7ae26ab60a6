import { PRELUDE } from './prelude.js'
import { LEASES } from './leases.js'

/** How long it is told that an instance is fenced, in ms. It stays fenced for as long as keys live. */
const TOLD_MS = 3_600_000

/** `ARGV`: id and `leaseMs` of the instance; epoch, sequence and token of its position. */
export const RENEW = PRELUDE + LEASES + String.raw`
local id, leaseMs = ARGV[1], tonumber(ARGV[2])
local meta = call('HMGET', META, 'epoch', 'sequence', 'token', 'renewedAt', 'refreshedAt')
if not meta[1] then return { 'absent' } end
if not call('ZSCORE', INSTANCES, id) then
  return { call('ZSCORE', FENCED, id) and 'fenced' or 'absent' }
end
local at = clock()
call('ZADD', INSTANCES, at + leaseMs, id)
grace(at, meta[4], leaseMs)
call('HSET', META, 'renewedAt', at)
for _, lapsed in ipairs(call('ZRANGEBYSCORE', INSTANCES, '-inf', at)) do fence(lapsed, at) end
if at - (tonumber(meta[5]) or 0) >= 3600000 then call('ZREMRANGEBYSCORE', FENCED, '-inf', at - TTL) end
refresh(at, meta[5])
local sequence, position = tonumber(meta[2]), tonumber(ARGV[4])
if meta[1] ~= ARGV[3] or sequence < position or (sequence == position and meta[3] ~= ARGV[5]) then
  return { 'diverged', sequence }
end
return { 'renewed', sequence, call('HGETALL', SERVICES), call('ZRANGEBYSCORE', FENCED, at - ${TOLD_MS}, '+inf') }
`
