-- Joins the life of a deployment, or begins its next one; see RedisIdentity.life.
--
-- KEYS: the key of the deployment.
-- ARGV: the member's name, the token of its folder, how many members there are.
-- Returns the number of the life, from 1 on.
local raw = redis.call('GET', KEYS[1])
local life = raw and cjson.decode(raw) or {number = 1, members = {}}
local count = 0
for _ in pairs(life.members) do
  count = count + 1
end
local token = life.members[ARGV[1]]
if token == ARGV[2] then
  return life.number
end
if token or count >= tonumber(ARGV[3]) then
  life = {number = life.number + 1, members = {}}
end
life.members[ARGV[1]] = ARGV[2]
redis.call('SET', KEYS[1], cjson.encode(life))
return life.number
