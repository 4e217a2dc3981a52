-- Leases of nodes: join, renew, rescue, leave.

-- Delivers what a running hash holds again, under its leases. Leases of entries that no longer exist, or whose job is
-- cancelled, are removed. When a node joins, the entries of a quarantined workspace are requeued instead. Those of a
-- workspace whose home is another node by now are not: only the node knows which programs of it still run.
local function redeliver(d, counts_crash, is_join)
  local P, elsewhere = d.P, {}
  local has_quarantine, has_homes = is_join and exists(P, 'quarantine'), exists(P, 'homes')
  for _, held in ipairs(leases_of(d.run)) do
    local lease, suffix, id = held[1], split_token(held[2])
    local entries = suffix and redis.call('XRANGE', stream_of(P, suffix), id, id) or {}
    if #entries == 0 then suspect_loss(P) end
    if #entries == 1 and d.has_cancels then entries = drop_cancelled(d, suffix, entries) end
    if #entries == 1 then
      local value, ws = value_of(entries[1]), workspace_of(suffix)
      if counts_crash and #value >= 16 then
        local job = string.sub(value, 1, 16)
        local f, c = tries_of(P, job)
        redis.call('HSET', P .. 'tries', job, f .. ':' .. (c + 1))
      end
      if has_quarantine and redis.call('HEXISTS', P .. 'quarantine', ws) == 1 then
        drop_leases(P, d.run, {lease})
        d.active[ws] = (d.active[ws] or 0) - 1
        drop_entry(P, suffix, id)
        add_entry(P, suffix, value)
        mark_level_ready(P, ws, level_of(suffix))
      else
        local at = #d.out
        d.out[at + 1], d.out[at + 2] = suffix, 1
        emit(d, at + 2, id, value)
        local home = has_homes and not elsewhere[ws] and home_of(P, ws)
        if home and home ~= d.node then
          elsewhere[ws] = true
          d.moved[#d.moved + 1], d.moved[#d.moved + 2] = ws, home
        end
      end
    else
      drop_leases(P, d.run, {lease})
      local ws = suffix and workspace_of(suffix)
      if ws then d.active[ws] = (d.active[ws] or 0) - 1 end
    end
  end
end

-- Registers an incarnation of a node. Arguments: node, incarnation, owner, lease in ms, 1 when workspaces have homes,
-- otherwise 0. Returns as deliveries what an earlier incarnation held; each counts as a crash.
register('join', DRAIN, function(keys, args)
  local P = prefix(keys)
  local node, inc, owner, lease = args[1], args[2], args[3], tonumber(args[4])
  local now = now_ms()
  local before = redis.call('HMGET', P .. 'node:' .. node, 'owner', 'inc')
  local expiry = tonumber(redis.call('ZSCORE', P .. 'nodes', node) or 0)
  if before[1] and before[1] ~= owner and expiry > now then
    return redis.error_reply('ORCBUSY another machine runs a node of this name')
  end
  -- Incarnations increase: a delayed join of an earlier incarnation must not replace the current one.
  if before[2] and before[2] > inc and expiry > now then
    return redis.error_reply('ORCSTALE this node was replaced by a newer incarnation')
  end
  local disagreement = agree_on_files(P, node, args[5] == '0', now)
  if disagreement then return disagreement end
  redis.call('HSET', P .. 'node:' .. node, 'inc', inc, 'owner', owner)
  if before[2] ~= inc then redis.call('HDEL', P .. 'node:' .. node, 'fence') end
  redis.call('ZADD', P .. 'nodes', string.format('%d', now + lease), node)
  redis.call('HSET', P .. 'run:' .. node, SENTINEL, SENTINEL_VALUE)
  redis.call('HSET', P .. 'holders', SENTINEL, SENTINEL_VALUE)
  if args[5] == '1' then redis.call('HSET', P .. 'homes', SENTINEL, SENTINEL_VALUE) end
  note_present(P, node)
  local d = begin_delivery(P, node)
  d.has_tries = true
  d.out[1] = 1
  -- A join that is repeated after a lost reply does not count another crash.
  redeliver(d, before[2] ~= inc, true)
  return end_delivery(d)
end)

-- Returns as deliveries what this incarnation holds, so that a lost reply to a claim loses no entry. From now on a
-- claim with a lower number than the given one is refused, because the node would not run what it delivers. Arguments:
-- node, incarnation, number of the next claim or 0.
register('held', DRAIN, function(keys, args)
  local P = prefix(keys)
  local refusal = not_current(P, args[1], args[2])
  if refusal then return refusal end
  if args[3] ~= '0' then redis.call('HSET', P .. 'node:' .. args[1], 'fence', args[3]) end
  local d = begin_delivery(P, args[1])
  -- A job that was cancelled meanwhile stays held; its node is notified by the next `renew`.
  d.has_cancels = false
  redeliver(d, false)
  return end_delivery(d)
end)

-- Renews the lease of a node. Arguments: node, incarnation, lease in ms. Returns the names of nodes whose lease has
-- expired, the jobs of this node that are to be cancelled (again, in case the notification was lost), and the number of
-- its leases.
register('renew', DRAIN, function(keys, args)
  local P = prefix(keys)
  local refusal = not_current(P, args[1], args[2])
  if refusal then return refusal end
  local now = now_ms()
  redis.call('ZADD', P .. 'nodes', string.format('%d', now + tonumber(args[3])), args[1])
  local cancelled = {}
  for _, job in ipairs(redis.call('SMEMBERS', P .. 'cancelling')) do
    if redis.call('HEXISTS', P .. 'run:' .. args[1], job) == 1 then cancelled[#cancelled + 1] = job end
  end
  local dead = redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', '(' .. string.format('%d', now), 'LIMIT', 0, 16)
  return {dead, cancelled, held_count(P .. 'run:' .. args[1])}
end)

-- Requeues what a dead node held; each job counts a crash. Does nothing while the node's lease is valid.
-- Arguments: dead node, maximum count. Returns the number of requeued entries.
register('rescue', DRAIN, function(keys, args)
  local P = prefix(keys)
  local dead, most = args[1], tonumber(args[2])
  local expiry = tonumber(redis.call('ZSCORE', P .. 'nodes', dead) or 0)
  if expiry == 0 or expiry > now_ms() then return 0 end
  local run = P .. 'run:' .. dead
  local moved, active = 0, {}
  local held = leases_of(run)
  for i = 1, math.min(#held, most) do
    local lease, suffix, id = held[i][1], split_token(held[i][2])
    local entries = suffix and redis.call('XRANGE', stream_of(P, suffix), id, id) or {}
    drop_leases(P, run, {lease})
    if suffix then active[workspace_of(suffix)] = (active[workspace_of(suffix)] or 0) - 1 end
    if #entries == 1 then
      drop_entry(P, suffix, id)
      local value = value_of(entries[1])
      add_entry(P, suffix, value)
      if #value >= 16 then
        local job = string.sub(value, 1, 16)
        local f, c = tries_of(P, job)
        redis.call('HSET', P .. 'tries', job, f .. ':' .. (c + 1))
      end
      mark_level_ready(P, workspace_of(suffix), level_of(suffix))
      moved = moved + 1
    else
      suspect_loss(P)
    end
  end
  count_active(P, active)
  if #held <= most then
    redis.call('ZREM', P .. 'nodes', dead)
    redis.call('DEL', P .. 'node:' .. dead, run)
    note_away(P, dead, string.format('%d', expiry))
  end
  return moved
end)

-- Removes a node at the end of a drain, unless it holds entries. Arguments: node, incarnation. Returns 1 when removed,
-- otherwise 0.
register('leave', DRAIN, function(keys, args)
  local P = prefix(keys)
  if not_current(P, args[1], args[2]) then return 0 end
  local run = P .. 'run:' .. args[1]
  if held_count(run) > 0 then return 0 end
  redis.call('ZREM', P .. 'nodes', args[1])
  redis.call('DEL', P .. 'node:' .. args[1], run)
  note_away(P, args[1], string.format('%d', now_ms()))
  return 1
end)
