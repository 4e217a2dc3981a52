-- Settings for ops/lib/check-lua. Redis runs Lua 5.1 and gives the functions one global, `redis`.
std = 'lua51'
read_globals = {'redis'}
max_line_length = 120
