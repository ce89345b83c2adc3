-- Forgets a lead, all or nothing.
--
-- KEYS: that of the clock, which counts links.
-- ARGV: as redis_versions.lua says; up to when (ms) what happened is erased; for how long (ms) that is remembered; the lead,
--       "" for none; its name; what is kept of it under the digest that comes next, as whoever asks saw it; the names that
--       are erased too, one behind the other; those of numbers that it shares with others; and three for each who
--       has become it: the lead, its name, and the digest of what is kept of it.
-- Returns {clock, profiles...} where that is done, also where it was done before for the same place; {0} where another
-- process has changed the lead since it was read.
local at, kept = tonumber(ARGV[6]), tonumber(ARGV[7])
local lead, text, about, seen = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local names, shared = ARGV[12], ARGV[13]
local DONE, place = prefix .. '#done', partition .. position

local done = redis.call('HGET', DONE, place)
if done then
  return cmsgpack.unpack(done)
end
if lead ~= '' then
  local newest = versions_of(redis.call('HGET', bucket(about), about))[1]
  if (newest and newest[1] or '') ~= seen then
    return {0}
  end
end

local gone = {}

local function forget(name)
  redis.call('HDEL', bucket(name), name)
  gone[#gone + 1] = name
end

local function mark(name)
  redis.call('ZADD', ERASED, at, name)
  gone[#gone + 1] = name
end

for start = 1, #names, 16 do
  mark(string.sub(names, start, start + 15))
end
local told = {0}
if lead ~= '' then
  for _, name in ipairs(identifiers_of(lead)) do
    local newest = versions_of(redis.call('HGET', bucket(name), name))[1]
    if newest and newest[1] == lead then
      forget(name)
      mark(name)
    end
  end
  forget(about)
  for start = 1, #shared, 16 do  -- the others who share a number still do
    local name = string.sub(shared, start, start + 15)
    local versions, others = versions_of(redis.call('HGET', bucket(name), name)), {}
    for one in string.gmatch(versions[1] and string.sub(versions[1][1], 2) or '', '%S+') do
      if one ~= text then
        others[#others + 1] = one
      end
    end
    if #others == 0 then
      forget(name)
    else
      write('of', name, {{'\1' .. table.concat(others, ' '), versions[1][2], versions[1][3], versions[1][4]}})
      gone[#gone + 1] = name
    end
  end
  told[2] = text
  redis.call('HDEL', place_of(lead))
  for number = 14, #ARGV, 3 do
    told[#told + 1] = ARGV[number + 1]
    forget(ARGV[number + 2])
    redis.call('DEL', prefix .. 'm:' .. ARGV[number])
    redis.call('HDEL', place_of(ARGV[number]))
  end
end

local clock = tonumber(redis.call('GET', KEYS[1]) or '0') + 1
redis.call('SET', KEYS[1], clock)
redis.call('RPUSH', FEED, table.concat(gone))
redis.call('LTRIM', FEED, -FEED_MAX, -1)
redis.call('ZREMRANGEBYSCORE', ERASED, '-inf', '(' .. (at - kept))
redis.call('PEXPIRE', ERASED, kept)
told[1] = clock
redis.call('HSET', DONE, place, cmsgpack.pack(told))
redis.call('PEXPIRE', DONE, kept)
return told
