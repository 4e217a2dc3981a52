extension QueueFunctions {
    /// What people do to jobs: cancelling, dead letters.
    static let intervention = #"""
        -- workspace, job id, event of the request, event of the outcome
        -- -> state before ('running': its node is told), or false when there is no such job
        register('cancel', DRAIN, function(keys, args)
          local P = prefix(keys)
          local ws, job = args[1], args[2]
          local r = get_record(P, ws, job)
          if not r then return false end
          local state = r[1]
          if state == 'completed' or state == 'cancelled' or state == 'discarded' then return state end
          redis.call('XADD', P .. 'audit', '*', 'e', args[3])
          if runner_of(P, job) then
            -- Its node ends the run and writes the outcome; should it die first, whoever delivers it next does.
            redis.call('HSET', P .. 'cancel', job, args[4])
            redis.call('SADD', P .. 'cancelling', job)
            redis.call('XADD', P .. 'control', 'MAXLEN', '~', '1024', '*', 'c', job)
            return 'running'
          end
          -- The entry stays where it is, unread: to delete it would spoil the stream's lag. It is dropped when its
          -- turn comes.
          redis.call('HSET', P .. 'cancel', job, '')
          r[1], r[5], r[9] = 'cancelled', now_ms(), 'cancelled: user'
          redis.call('HSET', record_key(P, ws, job), job, cmsgpack.pack(r))
          redis.call('XADD', P .. 'audit', '*', 'e', args[4])
          tell_waiters(P, job, 'cancelled')
          return state
        end)

        local function dead_letter(P, ws, job)
          local id = redis.call('HGET', P .. 'w:' .. ws .. ':d', job)
          local entries = id and redis.call('XRANGE', P .. 'w:' .. ws .. ':dead', id, id) or {}
          if entries[1] then return id, fields_of(entries[1]) end
        end

        local function forget_dead_letter(P, ws, job, id)
          redis.call('XDEL', P .. 'w:' .. ws .. ':dead', id)
          redis.call('HDEL', P .. 'w:' .. ws .. ':d', job)
        end

        -- workspace, most -> dead letters without their output, newest first: job id, action, reason, '', entry id
        register('dead', READ, function(keys, args)
          local P = prefix(keys)
          local out = {}
          for _, entry in ipairs(redis.call('XREVRANGE', P .. 'w:' .. args[1] .. ':dead', '+', '-', 'COUNT', args[2])) do
            local fields = fields_of(entry)
            out[#out + 1] = {fields['j'] or '', fields['a'] or '', fields['r'] or '', '', entry[1]}
          end
          return out
        end)

        -- workspace, job id -> its dead letter as above, with the sealed output, or false
        register('letter', READ, function(keys, args)
          local id, fields = dead_letter(prefix(keys), args[1], args[2])
          return id and {args[2], fields['a'] or '', fields['r'] or '', fields['o'] or '', id} or false
        end)

        -- Puts a dead letter back in line with its tries forgotten. workspace, job id, audit event, retention -> 1 | 0
        register('requeue', {}, function(keys, args)
          local P = prefix(keys)
          local ws, job = args[1], args[2]
          local id, fields = dead_letter(P, ws, job)
          if not id then return 0 end
          local stream = P .. 'w:' .. ws .. ':s:' .. (fields['s'] or '2')
          local r = get_record(P, ws, job) or {'', fields['a'] or '', now_ms(), 0, 0, 0, 0, '', '', ''}
          r[1], r[4], r[5], r[6], r[7], r[8], r[9], r[10] = 'available', 0, 0, 0, 0, '', '', ''
          local records = {}
          put_record(records, P, ws, job, r)
          write_records(records, tonumber(args[4]))
          redis.call('HDEL', P .. 'tries', job)
          redis.call('XADD', stream, '*', 'j', job, 'e', fields['e'])
          forget_dead_letter(P, ws, job, id)
          mark_ready(P, stream)
          redis.call('XADD', P .. 'audit', '*', 'e', args[3])
          return 1
        end)

        -- Lets go of a dead letter. workspace, job id, audit event -> 1 | 0
        register('drop', DRAIN, function(keys, args)
          local P = prefix(keys)
          local id = dead_letter(P, args[1], args[2])
          if not id then return 0 end
          forget_dead_letter(P, args[1], args[2], id)
          redis.call('XADD', P .. 'audit', '*', 'e', args[3])
          return 1
        end)

        """#
}
