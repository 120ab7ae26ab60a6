import { FORMAT, HISTORY_SHARDS, PRELUDE } from './prelude.js'
import { LEASES } from './leases.js'

/**
 * `ARGV`: id and service of the instance, its `leaseMs`, and random texts for a log that does not exist yet: epoch,
 * secret and generation. Missions of another generation do not count as stored: they are left from a log that is gone.
 */
export const JOIN = PRELUDE + LEASES + String.raw`
local id, service, leaseMs = ARGV[1], ARGV[2], tonumber(ARGV[3])
local meta = call('HMGET', META, 'format', 'epoch', 'sequence', 'token', 'secret', 'renewedAt', 'refreshedAt')
local at = clock()
if not meta[2] then
  call('HSET', META, 'format', '${FORMAT}', 'epoch', ARGV[4], 'sequence', '0', 'token', '', 'secret', ARGV[5],
    'generation', ARGV[6], 'bytes', '0', 'renewedAt', at)
  for _, name in ipairs({ 'log', 'log:sizes', 'index', 'counts', 'counts:idle', 'heads', 'heads:age', 'retained',
    'retained:age' }) do call('DEL', PREFIX .. name) end
  for shard = 0, ${HISTORY_SHARDS - 1} do
    call('DEL', PREFIX .. 'history:' .. shard, PREFIX .. 'history:' .. shard .. ':sizes')
  end
  meta = { '${FORMAT}', ARGV[4], '0', '', ARGV[5], at }
elseif string.match(meta[1] or '', '^%d+') ~= '${FORMAT}' then
  return { 'incompatible', meta[1] or '' }
end
grace(at, meta[6], leaseMs)
if not call('ZSCORE', FENCED, id) then
  call('ZADD', INSTANCES, at + leaseMs, id)
  if call('HEXISTS', SERVICES, id) == 0 then
    call('HSET', SERVICES, id, call('HINCRBY', META, 'joined', 1) .. ' ' .. service)
  end
  expire('instances', 'services', 'meta')
end
call('HSET', META, 'renewedAt', at)
refresh(at, meta[7])
return { 'joined', meta[2], meta[3], meta[4], meta[5], call('HGETALL', PREFIX .. 'counts'),
  call('HGETALL', PREFIX .. 'heads'), call('HGETALL', PREFIX .. 'retained') }
`
