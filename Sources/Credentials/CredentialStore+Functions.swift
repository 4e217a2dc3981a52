internal import Redis

extension CredentialStore {
    /// The store's server-side functions: changes of several keys at once. Their names carry a digest of their text, so that
    /// two builds can share a Redis.
    struct Functions: Sendable {
        let library: RedisFunctionLibrary
        /// The functions' names.
        let put: String
        let deny: String

        init() {
            let version = "2_" + RedisFunctionLibrary.digest(of: Self.text)
            self.put = "orcauth_\(version)_put"
            self.deny = "orcauth_\(version)_deny"
            self.library = RedisFunctionLibrary(
                name: "orchestra_auth_\(version)",
                source: Self.text.replacing("@PUT@", with: self.put).replacing("@DENY@", with: self.deny))
        }

        private static let text = #"""
            -- KEYS index; key, epoch, id, time of creation, fields and values of the record
            redis.register_function{function_name='@PUT@', callback=function(keys, args)
              redis.call('ZADD', keys[1], args[4], args[3])
              redis.call('HSET', args[1], unpack(args, 5))
              redis.call('INCR', args[2])
              return 1
            end}

            -- KEYS denials; epoch, field, 'issued before:until', now
            redis.register_function{function_name='@DENY@', callback=function(keys, args)
              local all = redis.call('HGETALL', keys[1])
              for i = 1, #all, 2 do
                local ends = tonumber(string.match(all[i + 1], ':(%d+)$'))
                if not ends or ends <= tonumber(args[4]) then redis.call('HDEL', keys[1], all[i]) end
              end
              redis.call('HSET', keys[1], args[2], args[3])
              redis.call('INCR', args[1])
              return 1
            end}
            """#
    }
}
