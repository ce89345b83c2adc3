-- Links identifiers to leads, all or none.
--
-- KEYS: that of the clock, which counts links.
-- ARGV: what all keys begin with; partition, 6 bytes; position; time to live (ms); now (s); versions to keep; then five for
--       each name: what it is, its digest, what it is to stand for, for what whoever planned it saw it stand, "" for
--       nothing, and up to when (ms) they know it to be erased, -1 for never. It is "id", an identifier; "of", something of a
--       lead; or "as", whom a lead has become, and in place of the digest stands that lead: then all identifiers of it
--       become the other's.
-- Returns {clock} where all is linked: what the clock was with this link. Else {0, number of the name from 1, what it
-- stands for, ...} for each that another process has changed since it was read, and {-number, up to when, ...} for each
-- that it has erased; then nothing is linked.
local versions_max = tonumber(ARGV[6])
local count = (#ARGV - 6) / 5

local NOBODY = '\1'

local function read(what, name)
  if what == 'as' then
    return versions_of(redis.call('GET', prefix .. 'm:' .. name))
  end
  return versions_of(redis.call('HGET', bucket(name), name))
end

local function add_identifier(lead, name)
  local names, is_there = identifiers_of(lead), false
  for _, other in ipairs(names) do
    is_there = is_there or other == name
  end
  if not is_there then
    names[#names + 1] = name
  end
  local key, field = place_of(lead)
  redis.call('HSET', key, field, struct.pack('>I4', now) .. table.concat(names))
  redis.call('PEXPIRE', key, ttl)
end

local all, changed, mine = {}, {0}, nil
for i = 1, count do
  all[i] = read(ARGV[2 + 5 * i], ARGV[3 + 5 * i])
  for _, version in ipairs(all[i]) do
    if version[2] == partition and version[3] == position then
      mine = version[4]
    end
  end
end

local has_erased = redis.call('EXISTS', ERASED) == 1
for i = 1, count do
  -- Of a lead whose older versions are gone, the oldest is closest: one of which nothing is known has no user.
  local is_gone = ARGV[2 + 5 * i] == 'of' and #all[i] == versions_max
  local value = is_gone and all[i][versions_max][1] or ''
  for _, version in ipairs(all[i]) do
    -- What this partition has linked from here on is of a run that was cut off: this one does it again. Where this very
    -- event has linked before, it saw nothing that came after that.
    if (version[2] ~= partition or version[3] < position) and (not mine or version[4] < mine) then
      value = version[1] == NOBODY and '' or version[1]
      break
    end
  end
  if value ~= ARGV[5 + 5 * i] then
    changed[#changed + 1] = i
    changed[#changed + 1] = value
  end
  local erased = has_erased and ARGV[2 + 5 * i] == 'id' and redis.call('ZSCORE', ERASED, ARGV[3 + 5 * i])
  if erased and tonumber(erased) > tonumber(ARGV[6 + 5 * i]) then
    changed[#changed + 1] = -i
    changed[#changed + 1] = erased
  end
end
if #changed > 1 or count == 0 then
  return changed
end

local clock = mine
if not clock then
  clock = tonumber(redis.call('GET', KEYS[1]) or '0') + 1
  redis.call('SET', KEYS[1], clock)
end

-- Whom a lead has become by then: who planned may not have heard of it.
local function survivor(lead)
  while true do
    local version = read('as', lead)[1]
    if not version or version[4] > clock then
      return lead
    end
    lead = version[1]
  end
end

local function put(what, name, value, versions)
  local at, is_known = 1, false
  for n, version in ipairs(versions) do
    if version[4] > clock then
      at = n + 1
    elseif version[4] == clock then
      version[1], is_known = value, true
    end
  end
  if not is_known then
    table.insert(versions, at, {value, partition, position, clock})
    versions[versions_max + 1] = nil
  end
  write(what, name, versions)
  if what == 'id' and value ~= NOBODY then
    add_identifier(value, name)
  end
end

for i = 1, count do
  local what, value = ARGV[2 + 5 * i], ARGV[4 + 5 * i]
  put(what, ARGV[3 + 5 * i], what == 'id' and survivor(value) or value, all[i])
end
for i = 1, count do
  local loser = ARGV[2 + 5 * i] == 'as' and ARGV[3 + 5 * i]
  for _, name in ipairs(loser and identifiers_of(loser) or {}) do
    local versions = read('id', name)
    if versions[1] and versions[1][1] == loser then
      put('id', name, survivor(loser), versions)
    end
  end
end
if not mine then
  redis.call('RPUSH', FEED, table.concat(written))
  redis.call('LTRIM', FEED, -FEED_MAX, -1)
end
return {clock}
