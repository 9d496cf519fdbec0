-- One operation on a room, done as a whole: nothing of another node comes between its steps.
--
-- KEYS: log     the stream of events; what `redis.rs` calls the room's log
--       aside   a stream of what is for one member, on whichever node: answers, and the ends of connections
--       people  member -> key of its name, line end, name
--       names   key of a name -> member
--       seats   member -> node, visit and attempt of its newest connection; '-' for a node: none
--       due     member -> when to give it up
--       said    id of a message -> order; as many as are remembered
--       nodes   node -> when it counts as dead
--       meta    epoch, secret, born, ms and n (the newest id), added (events so far), visits
-- ARGV: operation, node, crowd, history, ids remembered, and the operation's own.
local log, aside, people, names, seats, due, said, nodes, meta = unpack(KEYS)
local operation, node = ARGV[1], ARGV[2]
local crowd, history, remembered = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local call = redis.call
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local text = function(number) return string.format('%.0f', number) end

-- Appends an event; gives its id. 1024 ids a millisecond, as in id.rs, and never one that is older.
local function append(...)
  local ms, n = tonumber(call('HGET', meta, 'ms')), tonumber(call('HGET', meta, 'n'))
  if now > ms then ms, n = now, 0 elseif n < 1023 then n = n + 1 else ms, n = ms + 1, 0 end
  call('HSET', meta, 'ms', text(ms), 'n', text(n))
  call('HINCRBY', meta, 'added', 1)
  call('XADD', log, 'MAXLEN', '~', history, text(ms) .. '-' .. text(n), ...)
  return ms * 1024 + n
end

local function name(member)
  local both = call('HGET', people, member)
  if both then return both:match('^(.-)\n(.*)$') end
end

local function seat(member)
  local both = call('HGET', seats, member)
  if both then return both:match('^(%S+) (%S+) ?(%S*)$') end
end

local function leave(member)
  local key, nick = name(member)
  if not key then return end
  local is_told = call('HLEN', people) <= crowd
  call('HDEL', people, member)
  call('HDEL', names, key)
  call('HDEL', seats, member)
  call('ZREM', due, member)
  if is_told then append('type', 'leave', 'member', member, 'nick', nick) end
end

local function bye(member, before, link, code, why)
  call('XADD', aside, 'MAXLEN', '~', 1000, '*', 'member', member, 'before', before, 'link', link, 'code', code, 'text', why)
end

-- A reply: how many there are, the visit, the name, where the log stood, what to ask for next, and members and names. Why
-- something was not done is an error: a code that `redis.rs` knows, and, for Redis to take it for one, what it is about.
local done = { 0, 0, '', 0, '0', {} }

local function list(visit, nick, at, after)
  local count, next, found = call('HLEN', people), '0', nil
  if count <= crowd then
    found = call('HGETALL', people)
  else
    local page = call('HSCAN', people, after, 'COUNT', crowd)
    next, found = page[1], page[2]
  end
  for at = 2, #found, 2 do found[at] = found[at]:match('\n(.*)$') end
  return { count, visit, nick, at, next, found }
end

if operation == 'open' then
  local epoch, secret = ARGV[6], ARGV[7]
  if call('HSETNX', meta, 'epoch', epoch) == 1 then
    call('HSET', meta, 'secret', secret, 'born', text(now) .. '-0', 'ms', text(now), 'n', '0', 'added', '0')
  end
  local newest = call('XREVRANGE', aside, '+', '-', 'COUNT', 1)
  local reply = call('HMGET', meta, 'epoch', 'secret', 'born', 'added')
  reply[5] = newest[1] and newest[1][1] or '0-0'
  return reply
end

-- All that follows is for a room that is open here: if this is not it any more, it has to be opened again.
if call('HGET', meta, 'epoch') ~= ARGV[6] then return redis.error_reply('GONE not here') end

-- This node lives for three seconds more. If it counted as dead and is not, it takes its members back.
if operation == 'enter' or operation == 'tick' then
  if call('ZADD', nodes, now + 3000, node) == 1 then
    for _, member in ipairs(call('ZRANGE', due, 0, -1)) do
      if seat(member) == node then call('ZREM', due, member) end
    end
  end
end

if operation == 'enter' then
  local member, nick, key, link, attempt, most = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], tonumber(ARGV[12])
  local known, own = name(member)
  if known then
    nick = own
  else
    if call('HEXISTS', names, key) == 1 then return redis.error_reply('TAKEN name') end
    if call('HLEN', people) >= most then return redis.error_reply('FULL room') end
    call('HSET', people, member, key .. '\n' .. nick)
    call('HSET', names, key, member)
    if call('HLEN', people) <= crowd then append('type', 'join', 'member', member, 'nick', nick) end
  end
  local visit = text(call('HINCRBY', meta, 'visits', 1))
  local older = seat(member)
  if older and older ~= '-' and older ~= node then bye(member, visit, link, '4001', 'open in another tab') end
  call('HSET', seats, member, node .. ' ' .. visit .. ' ' .. attempt)
  call('ZREM', due, member)
  local at = tonumber(call('HGET', meta, 'ms')) * 1024 + tonumber(call('HGET', meta, 'n'))
  return list(visit, nick, at, '0')
end

if operation == 'say' then
  local member, id, said_text, to = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
  local key, nick = name(member)
  if not key then return redis.error_reply('GONE not here') end
  if call('ZSCORE', said, id) then return redis.error_reply('KNOWN message') end
  if to ~= '' and call('HEXISTS', people, to) == 0 then return redis.error_reply('NOBODY of that number') end
  local at = append('type', 'message', 'member', member, 'nick', nick, 'id', id, 'text', said_text, 'to', to)
  call('ZADD', said, text(at), id)
  call('ZREMRANGEBYRANK', said, 0, -(remembered + 1))
  return done
end

if operation == 'rename' then
  local member, nick, key = ARGV[7], ARGV[8], ARGV[9]
  local old, was = name(member)
  if not old then return redis.error_reply('GONE not here') end
  if old ~= key and call('HEXISTS', names, key) == 1 then return redis.error_reply('TAKEN name') end
  call('HDEL', names, old)
  call('HSET', names, key, member)
  call('HSET', people, member, key .. '\n' .. nick)
  append('type', 'rename', 'member', member, 'nick', nick, 'was', was)
  return done
end

if operation == 'leave' then
  local member = ARGV[7]
  if not name(member) then return redis.error_reply('GONE not here') end
  leave(member)
  bye(member, '', '', '1000', '')
  return done
end

if operation == 'who' then return list(0, '', 0, ARGV[7]) end

if operation == 'has' then return call('HEXISTS', people, ARGV[7]) == 1 and done or redis.error_reply('GONE not here') end

if operation == 'tell' then
  call('XADD', aside, 'MAXLEN', '~', 1000, '*', 'member', ARGV[7], 'json', ARGV[8])
  return done
end

if operation == 'bye' then
  bye(ARGV[7], '', '', ARGV[8], ARGV[9])
  return done
end

if operation == 'tick' then
  local grace, stays = tonumber(ARGV[7]), tonumber(ARGV[8])
  -- Whose connection ended, by its visit or, if its node does not know that, its attempt; and the visit that the member has still.
  for at = 9, #ARGV, 4 do
    local member, ended, wait, other = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
    local at_node, visit, attempt = seat(member)
    if at_node == node and (visit == ended or 'attempt' .. attempt == ended) then
      if other ~= '0' then
        call('HSET', seats, member, node .. ' ' .. other)
      else
        call('HSET', seats, member, '- ' .. visit)
        call('ZADD', due, now + wait, member)
      end
    end
  end
  for _, dead in ipairs(call('ZRANGEBYSCORE', nodes, '-inf', now)) do
    call('ZREM', nodes, dead)
    local all = call('HGETALL', seats)
    for at = 1, #all, 2 do
      if all[at + 1]:match('^(%S+)') == dead then call('ZADD', due, now + grace, all[at]) end
    end
  end
  for _, member in ipairs(call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, 1000)) do leave(member) end
  for _, key in ipairs(KEYS) do call('PEXPIRE', key, stays) end
  return { call('HLEN', people), 0, '', 0, '0', {} }
end

return redis.error_reply('no such operation')
