import { HISTORY_SHARDS } from './prelude.js'

/** Bounds of the log and of each shard of the history. */
const MAX_BATCHES = 8_192
const MAX_LOG_BYTES = 33_554_432
const MAX_SHARD_ENTRIES = 2_500
const MAX_SHARD_BYTES = 4_194_304

/** How many entries one part has at most: Lua passes a limited number of arguments to a command. */
const LOG_PART = 1_500
const HISTORY_PART = 64

/**
 * The streams. An entry of a stream is one batch, or a part of it: the field `b` with the header of the batch, then two
 * fields for each entry. Its id is the sequence of its last entry. A list beside the stream has the sizes of its
 * entries, so that the oldest can be dropped without reading them.
 */
export const STREAMS = String.raw`
-- Removes what something else has written, so that the next id is after the last one.
local function repair (key, id, reason)
  if string.find(reason, 'WRONGTYPE', 1, true) then return call('DEL', key) end
  local sequence = tonumber(string.match(id, '^%d+'))
  local foreign
  repeat
    foreign = call('XRANGE', key, sequence .. '-0', '+', 'COUNT', 100)
    for _, one in ipairs(foreign) do call('XDEL', key, one[1]) end
  until #foreign == 0
  call('XSETID', key, (sequence - 1) .. '-18446744073709551615')
end

local function add_to_stream (key, ...)
  local result = redis.pcall('XADD', key, ...)
  if type(result) == 'string' then return end
  if not string.find(result.err, 'XADD', 1, true) and not string.find(result.err, 'WRONGTYPE', 1, true) then
    error(result)
  end
  repair(key, (...), result.err)
  call('XADD', key, ...)
end

local function part_header (sequence, has_more)
  return table.concat({ '1', EPOCH, token, previous, sequence, number, at, has_more and 1 or 0, instance }, ' ')
end

-- Drops the oldest while the stream is too long. Returns how many entries and bytes of it remain.
local function trim (key, entries, bytes, max_entries, max_bytes)
  local last
  while entries > max_entries or bytes > max_bytes do
    local size = call('LPOP', key .. ':sizes')
    local sequence, some, weight = string.match(size or '', '^(%d+) (%d+) (%d+)$')
    if not sequence then
      call('XTRIM', key, 'MAXLEN', 0)
      return 0, 0
    end
    last, entries, bytes = sequence, entries - some, bytes - weight
  end
  if last then call('XTRIM', key, 'MINID', (last + 1) .. '-0') end
  return entries, bytes
end

local function write_log (after, values, bytes)
  local key, total = PREFIX .. 'log', #values / 4
  local from = 0
  while from < total do
    local to = math.min(from + ${LOG_PART}, total)
    add_to_stream(key, (after + to) .. '-0', 'b', part_header(after + from, to < total),
      unpack(values, from * 4 + 1, to * 4))
    from = to
  end
  local length = call('RPUSH', key .. ':sizes', (after + total) .. ' 1 ' .. bytes)
  if length == 1 then expire('log', 'log:sizes') end
  local _, remaining = trim(key, length, (tonumber(logBytes) or 0) + bytes, ${MAX_BATCHES}, ${MAX_LOG_BYTES})
  return remaining
end

local shards = {}
local function find_shard (tenant)
  local index = 0
  if tenant ~= '' then
    for at = 1, #tenant do index = (index * 31 + string.byte(tenant, at)) % 65521 end
    index = 1 + index % ${HISTORY_SHARDS - 1}
  end
  local shard = shards[index]
  if not shard then
    shard = { values = {}, sequences = {}, weights = {} }
    shards[index] = shard
  end
  return shard
end

local shard_of = {}
local function add_to_history (tenant, sequence, numbers, update, names, own)
  local shard = shard_of[tenant] or find_shard(tenant)
  shard_of[tenant] = shard
  local values, n = shard.values, #shard.values
  values[n + 1], values[n + 2], values[n + 3], values[n + 4] = sequence .. ':' .. numbers, update, names, own
  local at = #shard.sequences + 1
  shard.sequences[at], shard.weights[at] = sequence, #update + #own + #names + 100
end

local function write_shard (index, shard)
  local key, total = PREFIX .. 'history:' .. index, #shard.sequences
  local totals = call('HMGET', META, 'entries:' .. index, 'bytes:' .. index)
  local entries, bytes = (tonumber(totals[1]) or 0) + total, tonumber(totals[2]) or 0
  for from = 1, total, ${HISTORY_PART} do
    local to, weight = math.min(from + ${HISTORY_PART - 1}, total), 0
    for position = from, to do weight = weight + shard.weights[position] end
    local sequence = shard.sequences[to]
    add_to_stream(key, sequence .. '-0', 'b', part_header(after, false), unpack(shard.values, from * 4 - 3, to * 4))
    local length = call('RPUSH', key .. ':sizes', sequence .. ' ' .. (to - from + 1) .. ' ' .. weight)
    if length == 1 then expire('history:' .. index, 'history:' .. index .. ':sizes') end
    bytes = bytes + weight
  end
  entries, bytes = trim(key, entries, bytes, ${MAX_SHARD_ENTRIES}, ${MAX_SHARD_BYTES})
  call('HSET', META, 'entries:' .. index, entries, 'bytes:' .. index, bytes)
end
`
