package import Redis

/// The queue's server-side functions. Each is atomic, so that no crash can fall between its steps; each
/// takes one key, the lane's anchor, and touches only keys of that lane's slot. Time is Redis' own.
///
/// `@V@` is the version in every name: two releases can share a Redis while nodes are replaced.
package enum QueueFunctions {
    package static let version = "2"
    package static let library = RedisFunctionLibrary(
        name: "orchestra_\(version)",
        source: (common + submission + delivery + completion + intervention + inspection).replacingVersion())

    static func name(_ function: String) -> String { "orc\(self.version)_\(function)" }

    private static let common = #"""
        local BUCKET_MS = 600000

        local function now_ms()
          local t = redis.call('TIME')
          return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
        end

        -- 'orc:{l0}:lane' -> 'orc:{l0}:'
        local function prefix(keys) return string.sub(keys[1], 1, -5) end

        -- A job's record lies in the bucket of the time that its id carries.
        local function record_key(P, ws, job)
          local a, b, c, d, e, f = string.byte(job, 1, 6)
          local ms = ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
          return P .. 'w:' .. ws .. ':r:' .. string.format('%d', math.floor(ms / BUCKET_MS))
        end

        -- Records are collected by bucket and written with one command a bucket: many fields a command is what
        -- Redis does cheapest.
        local function put_record(batch, P, ws, job, record)
          local key = record_key(P, ws, job)
          local fields = batch[key]
          if not fields then
            fields = {}
            batch[key] = fields
          end
          fields[#fields + 1] = job
          fields[#fields + 1] = cmsgpack.pack(record)
        end

        local function write_records(batch, retention)
          for key, fields in pairs(batch) do
            redis.call('HSET', key, unpack(fields))
            -- A bucket that holds no more than this is new and has no expiry yet.
            if redis.call('HLEN', key) <= #fields / 2 then redis.call('PEXPIRE', key, retention + BUCKET_MS) end
          end
        end

        local function get_record(P, ws, job)
          local packed = redis.call('HGET', record_key(P, ws, job), job)
          return packed and cmsgpack.unpack(packed) or nil
        end

        -- Puts a stream in line for its turn; idle nodes hear the bell when the line was empty of it.
        local function mark_ready(P, stream)
          if redis.call('ZADD', P .. 'ready', 'NX', redis.call('INCR', P .. 'turn'), stream) == 1 then
            redis.call('XADD', P .. 'bell', 'MAXLEN', '~', '64', '*', 's', '1')
          end
        end

        local function workspace_of(P, stream)
          return string.match(string.sub(stream, #P + 1), '^w:([^:]+):s:')
        end

        local function fields_of(entry)
          local fields = {}
          for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
          return fields
        end

        local function split_token(token)
          return string.match(token, '^([^|]*)|([^|]*)|([^|]*)$')
        end

        -- Nil when this incarnation holds the node's name, else the error to answer.
        local function not_current(P, node, inc)
          local current = redis.call('HGET', P .. 'node:' .. node, 'inc')
          if current == inc then return nil end
          if not current then return redis.error_reply('ORCGONE this Redis does not know the node; it must join again') end
          return redis.error_reply('ORCSTALE this node was replaced by a newer incarnation')
        end

        -- At maxmemory Redis refuses what may need memory; only new submissions may be refused then, because the
        -- rest is what frees it.
        local function register(name, flags, callback)
          redis.register_function{function_name = 'orc@V@_' .. name, callback = callback, flags = flags}
        end
        local DRAIN = {'allow-oom'}
        local READ = {'no-writes'}

        -- Redis keeps a small hash as a list that it searches from the front: with 512 leases that was a fifth of
        -- all its work. One value beyond 64 bytes makes it a table for good (hash-max-listpack-value).
        local SENTINEL = '_'
        local SENTINEL_VALUE = '.................................................................'

        -- Lease keys and tokens of a running hash, in turn.
        local function leases_of(run)
          local all, out = redis.call('HGETALL', run), {}
          for i = 1, #all, 2 do
            if all[i] ~= SENTINEL then
              out[#out + 1] = all[i]
              out[#out + 1] = all[i + 1]
            end
          end
          return out
        end

        local function held_count(run)
          local count = redis.call('HLEN', run)
          return count > 0 and redis.call('HEXISTS', run, SENTINEL) == 1 and count - 1 or count
        end

        -- The node that runs the job now, or false.
        local function runner_of(P, job)
          for _, node in ipairs(redis.call('ZRANGE', P .. 'nodes', 0, -1)) do
            if redis.call('HEXISTS', P .. 'run:' .. node, job) == 1 then return node end
          end
          return false
        end

        -- Tells those who wait for the job's end.
        local function tell_waiters(P, job, state)
          if redis.call('ZREM', P .. 'waiters', job) == 1 then
            redis.call('RPUSH', P .. 'done:' .. job, state)
            redis.call('PEXPIRE', P .. 'done:' .. job, 60000)
          end
        end

        -- 'failures:crashes' of a job that had any.
        local function tries_of(P, job)
          local text = redis.call('HGET', P .. 'tries', job)
          if not text then return 0, 0 end
          local f, c = string.match(text, '^(%d+):(%d+)$')
          return tonumber(f) or 0, tonumber(c) or 0
        end

        """#

}

extension String {
    fileprivate func replacingVersion() -> String {
        self.split(separator: "@V@", omittingEmptySubsequences: false).joined(separator: QueueFunctions.version)
    }
}
