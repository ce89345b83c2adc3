-- Links identifiers to leads, all or none; see redis_identity.py.
--
-- KEYS: the keys of the identifiers.
-- ARGV: partition, position, time to live in ms, versions to keep; then for each key the lead that it is to have
--       and the lead that whoever planned it saw there ("" for none).
-- Returns nothing where all is linked, else [number of the key from 1, the lead that is there, ...] for each key that
-- another process has changed since it was read; then nothing is linked.
local partition, position = ARGV[1], tonumber(ARGV[2])
local ttl, versions_max = ARGV[3], tonumber(ARGV[4])
local all, changed = {}, {}

for i, key in ipairs(KEYS) do
  local raw = redis.call('GET', key)
  local versions = raw and cjson.decode(raw) or {}
  local lead = ''
  for _, version in ipairs(versions) do
    -- What this partition has linked from here on is of a run that was cut off: this one does it again.
    if version[2] ~= partition or version[3] < position then
      lead = version[1]
      break
    end
  end
  if lead ~= ARGV[4 + 2 * i] then
    changed[#changed + 1] = i
    changed[#changed + 1] = lead
  end
  all[i] = versions
end
if #changed > 0 then
  return changed
end

for i, key in ipairs(KEYS) do
  local lead, versions = ARGV[3 + 2 * i], all[i]
  local at, is_known = 1, false
  for n, version in ipairs(versions) do
    if version[2] == partition and version[3] >= position then
      is_known = is_known or (version[3] == position and version[1] == lead)
      at = n + 1
    end
  end
  if not is_known then
    table.insert(versions, at, {lead, partition, position})
    versions[versions_max + 1] = nil
  end
  redis.call('SET', key, cjson.encode(versions), 'PX', ttl)
end
return {}
