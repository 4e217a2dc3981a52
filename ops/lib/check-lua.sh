#!/bin/bash
# Checks the queue's server-side functions with luacheck (Debian package lua-check).
#
# The files of Sources/Jobs/Redis/Functions are one library: each uses the local functions of those before it. They are
# checked as Redis loads them, joined in this order, and each finding is printed with its own file and line.
# Exits with 0 when luacheck finds nothing, 1 when it finds something, 2 when it cannot run.
set -euo pipefail
cd "$(dirname "$0")/../../Sources/Jobs/Redis/Functions"
files=(common submission delivery leases completion intervention inspection maintenance)

command -v luacheck >/dev/null || { echo "luacheck is not installed; install it with: apt-get install lua-check" >&2; exit 2; }
# A file that is not in the list would not be checked.
listed=$(printf '%s.lua\n' "${files[@]}" | sort)
present=$(printf '%s\n' *.lua | sort)
[ "$listed" = "$present" ] || { echo "expected exactly these files: ${files[*]/%/.lua}" >&2; exit 2; }

joined=$(mktemp)
findings=$(mktemp)
trap 'rm -f "$joined" "$findings"' EXIT
for file in "${files[@]}"; do sed 's/@NOW@/return redis_ms()/' "$file.lua"; done >"$joined"
status=0
luacheck --config .luacheckrc --no-color --codes --formatter plain --filename functions - <"$joined" >"$findings" || status=$?
[ "$status" -le 2 ] || { cat "$findings" >&2; exit 2; }

# "functions:LINE:COLUMN: …" of the joined text becomes "FILE:LINE:COLUMN: …".
awk -F: -v OFS=: -v folder=Sources/Jobs/Redis/Functions -v count="${#files[@]}" '
    FNR == 1 { part++; before[part] = lines; name[part] = FILENAME }
    part <= count { lines++; next }
    $1 == "functions" {
        for (i = count; before[i] >= $2; i--) { }
        $1 = folder "/" name[i]
        $2 = $2 - before[i]
    }
    { print }
' "${files[@]/%/.lua}" "$findings"
exit "$((status > 0))"
