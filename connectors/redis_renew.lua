-- Puts off the expiry of names.
--
-- KEYS: none but what names the node.
-- ARGV: what all keys begin with; the names, one behind the other; now (s); time to live (ms); leads, whose sets of names
--       are kept too.
local names, now, ttl = ARGV[2], tonumber(ARGV[3]), ARGV[4]

local function renew(key, field)
  local raw = redis.call('HGET', key, field)
  if raw then
    redis.call('HSET', key, field, struct.pack('>I4', now) .. string.sub(raw, 5))
    redis.call('PEXPIRE', key, ttl)
  end
end

for at = 1, #names, 16 do
  local name = string.sub(names, at, at + 15)
  renew(bucket(name), name)
end
for at = 5, #ARGV do
  renew(place_of(ARGV[at]))
end
