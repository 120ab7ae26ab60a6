/** How many tenants without an active mission have counts, and how many heads of tenants there are. */
const MAX_IDLE_TENANTS = 10_000
const MAX_TENANT_HEADS = 20_000

/** How many values are retained. */
const MAX_RETAINED = 64

/** Tables of a batch: each value is read once, and written once after the last step. */
export const TABLES = String.raw`
local function each_thousand (list, run)
  for from = 1, #list, 1000 do run(unpack(list, from, math.min(from + 999, #list))) end
end

local function add_sorted (name, list, mode)
  if #list == 0 then return end
  each_thousand(list, function (...) call('ZADD', PREFIX .. name, mode or 'CH', ...) end)
  expire(name)
end

local function set_fields (name, list)
  if #list == 0 then return end
  each_thousand(list, function (...) call('HSET', PREFIX .. name, ...) end)
  expire(name)
end

-- Of too many members of a sorted set, the first are dropped, and their fields in a hash.
local function drop_oldest (sorted, name, max)
  local excess = call('ZCARD', PREFIX .. sorted) - max
  if excess <= 0 then return end
  local list = call('ZPOPMIN', PREFIX .. sorted, excess)
  for at = 1, #list, 2 do call('HDEL', PREFIX .. name, list[at]) end
end

local heads = {}
local function next_offset (field, message_id)
  local head = heads[field]
  if not head then
    head = { offset = tonumber(string.match(call('HGET', PREFIX .. 'heads', field) or '', '^%d+')) or 0 }
    heads[field] = head
  end
  head.offset = head.offset + 1
  head.message_id = message_id
  return head.offset
end

-- A field is the channel alone for operators, and the channel, a zero byte and the tenant for a tenant.
local function add_to_streams (channel, tenant, message_id)
  local offset = next_offset(channel, message_id)
  if tenant == '' then return offset, 0 end
  return offset, next_offset(channel .. '\0' .. tenant, message_id)
end

local function write_heads (sequence)
  local fields, ages = {}, {}
  for field, head in pairs(heads) do
    fields[#fields + 1] = field
    fields[#fields + 1] = head.offset .. ' ' .. head.message_id
    if string.find(field, '%z') then
      ages[#ages + 1] = sequence
      ages[#ages + 1] = field
    end
  end
  set_fields('heads', fields)
  add_sorted('heads:age', ages)
  if #ages > 0 then drop_oldest('heads:age', 'heads', ${MAX_TENANT_HEADS}) end
end

local counts = {}
local function find_counts (field)
  local row = counts[field]
  if row then return row end
  local text = call('HGET', PREFIX .. 'counts', field) or ''
  row = {}
  for value in string.gmatch(text, '%S+') do row[#row + 1] = tonumber(value) or 0 end
  for at = #row + 1, 5 do row[at] = 0 end
  counts[field] = row
  return row
end

-- The columns are active, completed, cancelled, errors and the sum of the durations.
local function count (field, status, duration, is_new, is_replacing)
  local row = find_counts(field)
  if is_replacing then
    row[1] = row[1] - 1
    row[3] = row[3] + 1
  end
  if is_new then row[1] = row[1] + 1 end
  if status < 5 then return end
  row[1] = row[1] - 1
  row[status - 3] = row[status - 3] + 1
  row[5] = row[5] + duration
end

local function forget (field)
  local row = find_counts(field)
  row[1] = row[1] - 1
end

-- Fields of tenants begin with "=". The field "*" counts all missions.
local function write_counts (sequence)
  local fields, idle, busy = {}, {}, {}
  for field, row in pairs(counts) do
    fields[#fields + 1] = field
    fields[#fields + 1] = string.format('%.0f %.0f %.0f %.0f %.17g', unpack(row))
    if field ~= '*' and row[1] > 0 then busy[#busy + 1] = field end
    if field ~= '*' and row[1] <= 0 then
      idle[#idle + 1] = sequence
      idle[#idle + 1] = field
    end
  end
  set_fields('counts', fields)
  each_thousand(busy, function (...) call('ZREM', PREFIX .. 'counts:idle', ...) end)
  add_sorted('counts:idle', idle)
  if #idle > 0 then drop_oldest('counts:idle', 'counts', ${MAX_IDLE_TENANTS}) end
end

local retained = {}
local function write_retained (sequence)
  for key, value in pairs(retained) do
    set_fields('retained', { key, value })
    add_sorted('retained:age', { sequence, key })
    drop_oldest('retained:age', 'retained', ${MAX_RETAINED})
  end
end
`
