-- Reads the values of names, and tells which names have been linked since it was last asked.
--
-- KEYS: the key of the store's id, that of the clock.
-- ARGV: what all keys begin with; the names, one behind the other; what the clock was then.
-- Returns the store's id; the clock; the names linked since then, one behind the other, nil where that is not known any
-- more; the value of each name; and, where anything was erased of late, up to when each name was, in their order.
local names, since = ARGV[2], tonumber(ARGV[3])
local clock = tonumber(redis.call('GET', KEYS[2]) or '0')

local changed = ''
if since < 0 or clock < since or clock - since > FEED_MAX then
  changed = false
elseif clock > since then
  local feed = redis.call('LRANGE', FEED, since - clock, -1)
  changed = #feed == clock - since and table.concat(feed)
end

local found = {redis.call('GET', KEYS[1]), clock, changed}
for at = 1, #names, 16 do
  local name = string.sub(names, at, at + 15)
  found[#found + 1] = redis.call('HGET', bucket(name), name)
end
if redis.call('EXISTS', ERASED) == 1 then
  for at = 1, #names, 16 do
    found[#found + 1] = redis.call('ZSCORE', ERASED, string.sub(names, at, at + 15))
  end
end
return found
