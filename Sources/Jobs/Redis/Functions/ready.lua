-- Workspaces with work, and their homes.
--
-- The home of a workspace is the node whose disk holds its files. A workspace with work is in one ready queue: in that
-- of its home, or in the common one while it has none. A claim reads the queue of its node and the common one, so it
-- costs nothing for workspaces that belong to other nodes.
--   ready       workspaces without a home, by turn              turn      the last turn
--   ready:NODE  workspaces with work whose home is the node, by turn
--   homes       WS -> node; '!node' when the workspace has no home any more and may have files there
--   away        nodes that left or were declared dead, by time
--   stranded    those of them whose ready queue is not empty, by the same time
-- Where all nodes have the same files, no workspace has a home.
local LOST = '!'
local AWAY_LIMIT = 10000

-- The home of a workspace, or nil; then the node that has its files, if any.
local function home_of(P, ws)
  local value = redis.call('HGET', P .. 'homes', ws)
  if not value then return nil, nil end
  if string.sub(value, 1, 1) ~= LOST then return value, value end
  return nil, string.sub(value, 2)
end
local function ready_key(P, home) return home and P .. 'ready:' .. home or P .. 'ready' end

-- Adds a workspace to its ready queue. When it was not there, idle nodes are notified through the wake-up stream.
local function add_ready(P, ws, home, turn)
  if redis.call('ZADD', ready_key(P, home), 'NX', turn, ws) == 0 then return end
  redis.call('XADD', P .. 'bell', 'MAXLEN', '~', '64', '*', 's', '1')
  if home and not redis.call('ZSCORE', P .. 'nodes', home) then
    redis.call('ZADD', P .. 'stranded', 'NX', redis.call('ZSCORE', P .. 'away', home) or 0, home)
  end
end
local function enqueue_workspace(P, ws)
  local home = home_of(P, ws)
  add_ready(P, ws, home, redis.call('INCR', P .. 'turn'))
end

-- Marks a level as having entries. A parked workspace is added to the ready queue only when it is unparked.
local function mark_level_ready(P, ws, level)
  local levels = redis.call('HGET', P .. 'levels', ws) or ''
  if not string.find(levels, level, 1, true) then
    local all = ''
    for _, l in ipairs({'1', '2', '3'}) do
      if l == level or string.find(levels, l, 1, true) then all = all .. l end
    end
    redis.call('HSET', P .. 'levels', ws, all)
  end
  if not redis.call('ZSCORE', P .. 'parked', ws) then enqueue_workspace(P, ws) end
end
local function unpark(P, ws)
  if redis.call('ZREM', P .. 'parked', ws) == 1 and redis.call('HEXISTS', P .. 'levels', ws) == 1 then
    enqueue_workspace(P, ws)
  end
end

-- Changes the counts of running jobs, per workspace over all nodes.
local function count_active(P, changes)
  local names = {}
  for ws in pairs(changes) do names[#names + 1] = ws end
  if #names > 1 then table.sort(names) end
  for _, ws in ipairs(names) do
    local change = changes[ws]
    if change ~= 0 and redis.call('HINCRBY', P .. 'active', ws, change) <= 0 then
      redis.call('HDEL', P .. 'active', ws)
    end
    -- A workspace that is parked for its rate stays parked.
    if change < 0 and tonumber(redis.call('ZSCORE', P .. 'parked', ws) or 0) == NO_END then unpark(P, ws) end
  end
end

-- Notes that a node left or was declared dead at a time. A node that is not noted any more has been away for longer
-- than all that are.
local function note_away(P, node, time)
  if not exists(P, 'homes') then return end
  redis.call('ZADD', P .. 'away', time, node)
  local excess = redis.call('ZCARD', P .. 'away') - AWAY_LIMIT
  if excess > 0 then
    for _, oldest in ipairs(redis.call('ZRANGE', P .. 'away', 0, excess - 1)) do
      redis.call('ZREM', P .. 'away', oldest)
    end
  end
  if redis.call('EXISTS', ready_key(P, node)) == 1 then redis.call('ZADD', P .. 'stranded', time, node) end
end
local function note_present(P, node)
  redis.call('ZREM', P .. 'away', node)
  redis.call('ZREM', P .. 'stranded', node)
end

-- Moves a workspace with work from the ready queue of a home to that of another, or to the common one with nil.
local function move_ready(P, ws, from, to)
  local turn = redis.call('ZSCORE', ready_key(P, from), ws)
  if not turn then return end
  redis.call('ZREM', ready_key(P, from), ws)
  add_ready(P, ws, to, turn)
end

-- A node that could not launch the job of a workspace, and has no files of it, is not its home any more. Its name is
-- kept, so that the move to the next home is recorded.
local function leave_home(P, ws, node)
  if home_of(P, ws) ~= node then return end
  redis.call('HSET', P .. 'homes', ws, LOST .. node)
  move_ready(P, ws, node, nil)
end

-- Since when the node is away in ms, 0 when that is not known any more; nil when it is there.
local function away_since(P, node)
  if redis.call('ZSCORE', P .. 'nodes', node) then return nil end
  return tonumber(redis.call('ZSCORE', P .. 'away', node) or 0)
end

-- Ends the homes of workspaces that have work and whose node has been away for a time in ms. Those without work keep
-- theirs: the node may come back before they need it. Submitters write 'stranded' and the ready queues, so these do not
-- prove that a node is away, since when, or that it is the home of a workspace.
local RELEASED_A_CALL = 256
local function release_homes(P, now, timeout)
  local last = now - timeout
  local nodes = redis.call('ZRANGEBYSCORE', P .. 'stranded', '-inf', string.format('%d', last), 'LIMIT', 0, 16)
  for _, node in ipairs(nodes) do
    local since = away_since(P, node)
    if not since then
      redis.call('ZREM', P .. 'stranded', node)
    elseif since > last then
      redis.call('ZADD', P .. 'stranded', string.format('%d', since), node)
    else
      local list = redis.call('ZRANGE', ready_key(P, node), 0, RELEASED_A_CALL - 1, 'WITHSCORES')
      for i = 1, #list, 2 do
        local home = home_of(P, list[i])
        if home == node then
          redis.call('HSET', P .. 'homes', list[i], LOST .. node)
          home = nil
        end
        redis.call('ZREM', ready_key(P, node), list[i])
        add_ready(P, list[i], home, list[i + 1])
      end
      if redis.call('EXISTS', ready_key(P, node)) == 0 then redis.call('ZREM', P .. 'stranded', node) end
    end
  end
end

-- All nodes of a queue have the same files, or each has its own. The nodes that are there decide; when there is no
-- other, the node that joins does. Returns the error for the node, or nil.
local function agree_on_files(P, node, is_shared, now)
  local files = is_shared and 'shared' or 'own'
  local before = redis.call('GET', P .. 'files')
  if before == files then return end
  if before then
    for _, other in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', string.format('%d', now), '+inf')) do
      if other ~= node then return redis.error_reply('ORCFILES other nodes have ' .. before .. ' files') end
    end
  end
  if is_shared then
    local all, homes = redis.call('HGETALL', P .. 'homes'), {}
    for i = 2, #all, 2 do homes[all[i]] = true end
    redis.call('DEL', P .. 'homes', P .. 'away', P .. 'stranded')
    for home in pairs(homes) do
      local list = redis.call('ZRANGE', ready_key(P, home), 0, -1, 'WITHSCORES')
      for i = 1, #list, 2 do add_ready(P, list[i], nil, list[i + 1]) end
      redis.call('DEL', ready_key(P, home))
    end
  end
  redis.call('SET', P .. 'files', files)
end

-- The error for a call that does not fit the files of the nodes. Other nodes may have changed them while the caller
-- stood still beyond its lease.
local function refused_files(P, has_homes)
  local files = redis.call('GET', P .. 'files')
  if not files or files == (has_homes and 'own' or 'shared') then return nil end
  return redis.error_reply('ORCFILES other nodes have ' .. files .. ' files')
end

-- Sets or ends the home of a workspace. Arguments: workspace, node or '' for none, audit event. Returns 1, or 0 when
-- there is no home to end; then the node that had its files, or ''; an error where all nodes have the same files.
register('home', DRAIN, function(keys, args)
  local P = prefix(keys)
  local refusal = refused_files(P, true)
  if refusal then return refusal end
  local ws, node = args[1], args[2]
  local home, files = home_of(P, ws)
  if node == '' and not home then return {0, files or ''} end
  local next_home = node ~= '' and node or nil
  if next_home and not redis.call('ZSCORE', P .. 'nodes', node) then
    redis.call('ZADD', P .. 'away', 'NX', string.format('%d', now_ms()), node)
  end
  redis.call('HSET', P .. 'homes', SENTINEL, SENTINEL_VALUE, ws, next_home or LOST .. home)
  move_ready(P, ws, home, next_home)
  write_audit(P, ws, {'e', args[3]})
  return {1, files or ''}
end)

-- Returns for each workspace that has or had a home: name, node, 1 when the node is its home, otherwise 0; then since
-- when the node is away in ms, 0 when that is not known any more, -1 when it is there.
register('homes', READ, function(keys)
  local P = prefix(keys)
  local all, out, since = redis.call('HGETALL', P .. 'homes'), {}, {}
  for i = 1, #all, 2 do
    if all[i] ~= SENTINEL then
      local is_lost = string.sub(all[i + 1], 1, 1) == LOST
      local node = is_lost and string.sub(all[i + 1], 2) or all[i + 1]
      if not since[node] then
        since[node] = away_since(P, node) or -1
      end
      out[#out + 1] = {all[i], node, is_lost and 0 or 1, since[node]}
    end
  end
  return out
end)
