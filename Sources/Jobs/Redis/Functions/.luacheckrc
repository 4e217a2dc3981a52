-- Settings for ops/lib/check-lua. Redis runs Lua 5.1 and gives the functions the globals `redis` and `cjson`.
std = 'lua51'
read_globals = {'redis', 'cjson'}
max_line_length = 120
