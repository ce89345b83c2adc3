-- What stands before the scripts that write; after redis_buckets.lua.
--
-- ARGV: what all keys begin with; partition, 6 bytes; position; time to live (ms); now (s).
local partition, position = ARGV[2], tonumber(ARGV[3])
local ttl, now = tonumber(ARGV[4]), tonumber(ARGV[5])
local LOOKED_AT = 2  -- of the other names in a hash, for those that nobody asks for any more

local function is_over(raw)
  return struct.unpack('>I4', raw) + ttl / 1000 < now
end

local function versions_of(raw)
  local versions, at = {}, 5
  if not raw or is_over(raw) then
    return versions
  end
  while at <= #raw do
    local length, of, where, clock, next_at = struct.unpack('>I2c6I6I4', raw, at)
    versions[#versions + 1] = {string.sub(raw, next_at, next_at + length - 1), of, where, clock}
    at = next_at + length
  end
  return versions
end

local written = {}

local function write(what, name, versions)
  local parts = {struct.pack('>I4', now)}
  for _, version in ipairs(versions) do
    parts[#parts + 1] = struct.pack('>I2c6I6I4', #version[1], version[2], version[3], version[4]) .. version[1]
  end
  local raw = table.concat(parts)
  if what == 'as' then
    redis.call('SET', prefix .. 'm:' .. name, raw, 'PX', ttl)
    return
  end
  written[#written + 1] = name
  local key = bucket(name)
  redis.call('HSET', key, name, raw)
  redis.call('PEXPIRE', key, ttl)
  local seen = redis.call('HRANDFIELD', key, LOOKED_AT, 'WITHVALUES')
  for at = 1, #seen, 2 do
    if is_over(seen[at + 1]) then
      redis.call('HDEL', key, seen[at])
    end
  end
end

local function identifiers_of(lead)
  local raw, names = redis.call('HGET', place_of(lead)) or '', {}
  for at = 5, #raw, 16 do
    names[#names + 1] = string.sub(raw, at, at + 15)
  end
  return names
end
