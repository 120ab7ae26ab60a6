import { PRELUDE } from './prelude.js'
import { LIFECYCLE } from './lifecycle.js'
import { MISSION, MISSIONS } from './missions.js'
import { STREAMS } from './streams.js'
import { TABLES } from './tables.js'

/** How many arguments a step has, and how many come before the steps. */
const STEP_ARGUMENTS = 6
const BATCH_ARGUMENTS = 3

/** How many answers are kept for each instance. Only the last batch is sent again, but late copies may follow it. */
const ANSWERS = 16

/** Everything that is read before the first write. An instance that is not known has lost its lease with the log. */
const BEGIN = String.raw`
local instance, number, token = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local meta = call('HMGET', META, 'epoch', 'sequence', 'token', 'generation', 'bytes', 'refreshedAt', 'swept')
if not meta[1] then return { 'absent' } end
if not call('ZSCORE', INSTANCES, instance) then
  return { call('ZSCORE', FENCED, instance) and 'fenced' or 'absent' }
end
local EPOCH, GENERATION, logBytes = meta[1], meta[4], meta[5]
local previous = meta[3] == '' and '-' or meta[3]
local after = tonumber(meta[2])
local answers, slot = PREFIX .. 'answers:' .. instance, 'v' .. number % ${ANSWERS}
local known_answers = call('HMGET', answers, 'last', slot)
if number <= (tonumber(known_answers[1]) or 0) then
  local last, verdicts = string.match(known_answers[2] or '', '^(%d+) (.*)$')
  if tonumber(last) == number then return { 'appended', verdicts, after } end
  return { 'appended', string.rep('r', (#ARGV - ${BATCH_ARGUMENTS}) / ${STEP_ARGUMENTS}), after }
end
local at = clock()
`

/**
 * `encoding/steps.ts` makes the arguments, and `encoding/entries.ts` reads what this writes. The head of a step is: one
 * byte each for its kind, its status and its marks, then its attempt and other values that are separated by commas.
 */
const STEPS = String.raw`
local sequence, bytes, values, size, verdicts = after, 0, {}, 0, {}
local byte, match, format, band = string.byte, string.match, string.format, bit.band

local function add_entry (numbers, update, names, own)
  values[size + 1], values[size + 2], values[size + 3], values[size + 4] = numbers, update, names, own
  size = size + 4
  bytes = bytes + #numbers + #update + #names + #own + 16
end

local function last_value (head)
  return match(head, '^...[^,]*,[^,]*,[^,]*,[^,]*,[^,]*,(.*)$')
end

-- A mission stays with its tenant. The head has the length of the tenant, in UTF-16 code units.
local function with_tenant (head, tenant)
  local _, characters = string.gsub(tenant, '[^\128-\191]', '')
  local _, pairs_of_units = string.gsub(tenant, '[\240-\247]', '')
  local length = tenant == '' and -1 or characters + pairs_of_units
  return (string.gsub(head, '^(...[^,]*,[^,]*,)[^,]*', '%1' .. length))
end

local function add_publication (head, marks, channel, tenant, message_id, update, value)
  local offset, tenant_offset = 0, 0
  local is_streamed = band(marks, 4) ~= 0 and update ~= ''
  if is_streamed then offset, tenant_offset = add_to_streams(channel, tenant, message_id) end
  local retain_key = band(marks, 1) ~= 0 and last_value(head) or ''
  local numbers = format('0,0,%d,%d,0,%s', offset, tenant_offset, head)
  local names = tenant .. message_id .. channel .. retain_key
  sequence = sequence + 1
  add_entry(numbers, update, names, value)
  if is_streamed then add_to_history(tenant, sequence, numbers, update, names, value) end
  if band(marks, 2) ~= 0 then retained[retain_key] = value end
end

local function apply (known, id, head, marks, status, attempt, tenant, message_id, update, state)
  local is_run = band(marks, 1) ~= 0
  local owner
  owner, is_run = owner_after(known, attempt, is_run, instance)
  local is_new = not known or attempt > known.attempt
  local is_replacing = is_new and known and known.status < 5 or false
  local m = known or { seq = 0, offset = 0, tenant_offset = 0, tenant = tenant }
  sequence = sequence + 1
  if is_new then m.started_at, m.is_new = sequence, true end
  if not m.is_touched then
    m.is_touched = true
    touched[#touched + 1] = id
    missions[id] = m
  end
  if tenant ~= m.tenant then
    tenant = m.tenant
    head = with_tenant(head, tenant)
  end
  if update ~= '' then m.seq = m.seq + 1 end
  m.attempt, m.status, m.owner, m.is_run, m.sequence = attempt, status, owner, is_run, sequence
  if state ~= '' then m.state = state end
  local offset, tenant_offset = 0, 0
  local is_streamed = band(marks, 4) ~= 0 and update ~= ''
  if is_streamed then
    offset, tenant_offset = add_to_streams('mission_update', tenant, message_id)
    m.offset, m.tenant_offset = offset, tenant_offset
  end
  local results = (is_run and 1 or 0) + (is_new and 2 or 0) + (is_replacing and 4 or 0)
  local numbers = format('%d,%d,%d,%d,%d,%s', m.seq, m.started_at, offset, tenant_offset, results, head)
  local names = tenant .. message_id .. id .. (owner == instance and '' or owner)
  add_entry(numbers, update, names, state)
  if is_streamed then add_to_history(tenant, sequence, numbers, update, names, '') end
  if is_new or status >= 5 then
    local duration = status >= 5 and tonumber(match(head, '^...%d+,([^,]*)')) or 0
    count('*', status, duration, is_new, is_replacing)
    if tenant ~= '' then count('=' .. tenant, status, duration, is_new, is_replacing) end
  end
end

for from = ${BATCH_ARGUMENTS + 1}, #ARGV, ${STEP_ARGUMENTS} do
  local head, id, tenant, message_id, update, own = unpack(ARGV, from, from + ${STEP_ARGUMENTS - 1})
  local kind, status, marks = byte(head, 1, 3)
  status, marks = status - 48, marks - 48
  local verdict = 'a'
  if kind == 112 then
    add_publication(head, marks, id, tenant, message_id, update, own)
  else
    local attempt = band(marks, 16) == 0 and 1 or tonumber(match(head, '^...(%d+)'))
    local lost_with = band(marks, 8) ~= 0 and last_value(head)
    local known = find_mission(id)
    verdict = decide(
      known, tenant, attempt, status, band(marks, 1) ~= 0, band(marks, 2) ~= 0, lost_with, instance)
    if verdict == 'a' then apply(known, id, head, marks, status, attempt, tenant, message_id, update, own) end
  end
  verdicts[(from - ${BATCH_ARGUMENTS + 1}) / ${STEP_ARGUMENTS} + 1] = verdict
end
`

/**
 * The first write refuses everything if Redis is read-only or has no memory left. A later one fails only if something
 * else has written to its key. The answer is stored before, so that the batch is not appended again.
 */
const END = String.raw`
local answer = table.concat(verdicts)
if not string.find(answer, '[^a]') then answer = '' end
if sequence > after then
  local log_bytes = write_log(after, values, bytes)
  call('HSET', META, 'sequence', sequence, 'token', token, 'bytes', log_bytes)
end
if call('HSET', answers, 'last', number, slot, number .. ' ' .. answer) > 0 then call('PEXPIRE', answers, TTL) end
if sequence > after then
  sweep(write_missions(at), meta[7])
  write_heads(sequence)
  write_counts(sequence)
  write_retained(sequence)
  for index, shard in pairs(shards) do write_shard(index, shard) end
end
refresh(at, meta[6])
return { 'appended', answer, sequence }
`

/** `ARGV`: id of the instance, number and token of the batch, then the steps. Everything is applied, or nothing. */
export const APPEND = PRELUDE + BEGIN + LIFECYCLE + TABLES + MISSION + MISSIONS + STREAMS + STEPS + END
