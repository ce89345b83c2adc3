-- What stands before every script; see redis_identity.py.
--
-- A name is its digest of 16 bytes. It lies as a field in one of 2^18 hashes, small enough for Redis to keep them packed:
-- as a key of its own it would take more memory. Its value is when (s) somebody last asked for it, 4 bytes, and
-- then its versions, the newest first: the length of what it stands for, partition, position, clock; and that.
--
-- The feed has an entry for each of the last links: the names that it changed. Of names that were erased of late, #erased
-- has up to when (ms).
local prefix = ARGV[1]
local FEED, FEED_MAX, ERASED = prefix .. '#feed', 4096, prefix .. '#erased'

local function bucket(name)
  local first, second, third = string.byte(name, 1, 3)
  return prefix .. '#' .. (first * 1024 + second * 4 + math.floor(third / 64))
end

-- Where the digests of a lead's identifiers lie: by the lead, one behind the other after when somebody last asked. As all
-- that is kept of leads, in hashes whose names begin with a set bit.
local function place_of(lead)
  local first, second, third = string.byte(lead, 2, 4)
  return prefix .. '#' .. ((first % 128 + 128) * 1024 + second * 4 + math.floor(third / 64)), lead
end
