-- The queue's functions: checked as one file, as Redis loads them (see .ci/run).
std = "lua51"
read_globals = { "redis", "cjson", "struct", "cmsgpack", "bit" }
max_line_length = 140
