import { MISSION_STATUSES, TERMINAL_STATUSES } from '../../../../schemas/mission.js'

/** The rank of the first status that ends a mission. Ranks are the positions in the list of statuses. */
export const FIRST_TERMINAL = MISSION_STATUSES.length - TERMINAL_STATUSES.length

/**
 * The lifecycle table in Lua: `decide` and `owner_after` of `lifecycle.ts`. `known` is `false` for a mission that is
 * not stored. Verdicts are letters; `encoding/verdicts.ts` has their meanings.
 */
export const LIFECYCLE = String.raw`
local gone = {}
local function is_gone (id)
  local result = gone[id]
  if result == nil then
    result = not call('ZSCORE', INSTANCES, id)
    gone[id] = result
  end
  return result
end

local function decide (known, tenant, attempt, status, is_run, is_start, lost_with, instance)
  if not known then return lost_with and 's' or 'a' end
  if tenant ~= '' and known.tenant ~= '' and tenant ~= known.tenant then return 's' end
  if attempt < known.attempt then return 's' end
  if attempt > known.attempt then return lost_with and 's' or 'a' end
  if known.status >= ${FIRST_TERMINAL} then return status == known.status and 'r' or 't' end
  local owner = known.owner
  if lost_with then return known.is_run and owner == lost_with and is_gone(owner) and 'a' or 's' end
  if known.is_run and owner ~= instance and is_gone(owner) then return 'l' end
  if is_start and status <= known.status and (known.is_run or not is_run) then return 'r' end
  return status < known.status and 'b' or 'a'
end

local function owner_after (known, attempt, is_run, instance)
  if not known or attempt > known.attempt then return instance, is_run end
  local owner = known.owner
  if known.is_run then return owner, true end
  if is_run or (owner ~= instance and is_gone(owner)) then return instance, is_run end
  return owner, false
end
`
