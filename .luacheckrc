-- The queue's functions, checked as one file, as Redis loads them: see ops/lib/check-lua.
std = "lua51"
read_globals = { "redis", "cjson", "struct", "cmsgpack", "bit" }
max_line_length = 140
-- Every function that Redis registers has the arguments (keys, args); a loop may only count.
unused_args = false
ignore = { "213" }
