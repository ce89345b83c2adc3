-- Links identifiers to leads, all or none; see redis_identity.py.
--
-- KEYS: the keys of the identifiers, and last that of the clock, which counts links.
-- ARGV: partition, position, time to live in ms, versions to keep, what all keys begin with; then for each identifier its
--       name, the lead that it is to have and the lead that whoever planned it saw there ("" for none).
-- A name m:LEAD says whom a lead has become: then all identifiers of it become that one's. Each lead has a set of their
-- names, i:LEAD.
-- Returns {clock} where all is linked: what the clock was with this link. Else {0, number of the identifier from 1, the
-- lead that is there, ...} for each that another process has changed since it was read; then nothing is linked.
local partition, position = ARGV[1], tonumber(ARGV[2])
local ttl, versions_max, prefix = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local count = #KEYS - 1
local all, changed, mine = {}, {0}, nil

for i = 1, count do
  local raw = redis.call('GET', KEYS[i])
  all[i] = raw and cjson.decode(raw) or {}
  for _, version in ipairs(all[i]) do
    if version[2] == partition and version[3] == position then
      mine = version[4]
    end
  end
end

for i = 1, count do
  local lead = ''
  for _, version in ipairs(all[i]) do
    -- What this partition has linked from here on is of a run that was cut off: this one does it again. Where this very
    -- event has linked before, it saw nothing that came after that.
    if (version[2] ~= partition or version[3] < position) and (not mine or version[4] < mine) then
      lead = version[1]
      break
    end
  end
  if lead ~= ARGV[5 + 3 * i] then
    changed[#changed + 1] = i
    changed[#changed + 1] = lead
  end
end
if #changed > 1 or count == 0 then
  return changed
end

local clock = mine
if not clock then
  clock = tonumber(redis.call('GET', KEYS[count + 1]) or '0') + 1
  redis.call('SET', KEYS[count + 1], clock)
end

-- Whom a lead has become by then: who planned may not have heard of it.
local function survivor(lead)
  while true do
    local raw = redis.call('GET', prefix .. 'm:' .. lead)
    local version = raw and cjson.decode(raw)[1]
    if not version or version[4] > clock then
      return lead
    end
    lead = version[1]
  end
end

local function put(name, lead, versions)
  local at, is_known = 1, false
  for n, version in ipairs(versions) do
    if version[4] > clock then
      at = n + 1
    elseif version[4] == clock then
      version[1], is_known = lead, true
    end
  end
  if not is_known then
    table.insert(versions, at, {lead, partition, position, clock})
    versions[versions_max + 1] = nil
  end
  redis.call('SET', prefix .. name, cjson.encode(versions), 'PX', ttl)
  if string.find(name, '^[auep]:') then
    redis.call('SADD', prefix .. 'i:' .. lead, name)
    redis.call('PEXPIRE', prefix .. 'i:' .. lead, ttl)
  end
end

for i = 1, count do
  local name, lead = ARGV[3 + 3 * i], ARGV[4 + 3 * i]
  if string.find(name, '^[auep]:') then
    lead = survivor(lead)
  end
  put(name, lead, all[i])
end
for i = 1, count do
  local loser = string.match(ARGV[3 + 3 * i], '^m:(.*)')
  for _, name in ipairs(loser and redis.call('SMEMBERS', prefix .. 'i:' .. loser) or {}) do
    local raw = redis.call('GET', prefix .. name)
    local versions = raw and cjson.decode(raw) or {}
    if versions[1] and versions[1][1] == loser then
      put(name, survivor(loser), versions)
    end
  end
end
return {clock}
