#!/usr/bin/env bash
# Measures a node's API on this machine, client and server together: requests a second without a credential, by API key
# and by token, in turns; then good requests while a flood of wrong keys goes on; then how long a revocation takes on two
# nodes. Everything runs in a directory of its own and ends with this script.
set -euo pipefail
bin=$1; shift
rounds=3 seconds=5 connections=32
while [ $# -gt 1 ]; do
    case $1 in
        --rounds) rounds=$2 ;;
        --seconds) seconds=$2 ;;
        --connections) connections=$2 ;;
        *) echo "unknown option $1" >&2; exit 64 ;;
    esac
    shift 2
done

directory=$(mktemp -d /tmp/orc-api-XXXXXX)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$directory"
}
trap finish EXIT
cd "$directory"

free_port() { echo $((20000 + RANDOM % 10000)); }
urlsafe() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

redis-server --port 0 --unixsocket "$directory/redis.sock" --dir "$directory" --save '' --appendonly no \
    --loglevel warning >redis.log & pids+=($!)

# An issuer: one key, published over TLS by OpenSSL's own little server.
issuer_port=$(free_port)
openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out tls.pem -subj /CN=localhost -days 1 \
    -addext 'subjectAltName=IP:127.0.0.1' 2>/dev/null
openssl genrsa -out jwt.key 2048 2>/dev/null
modulus=$(openssl rsa -in jwt.key -noout -modulus | cut -d= -f2 | xxd -r -p | urlsafe)
printf '{"keys":[{"kty":"RSA","kid":"k1","use":"sig","alg":"RS256","e":"AQAB","n":"%s"}]}' "$modulus" >keys.json
openssl s_server -accept "127.0.0.1:$issuer_port" -cert tls.pem -key tls.key -WWW -quiet >/dev/null 2>&1 & pids+=($!)
now=$(date +%s)
head=$(printf '{"alg":"RS256","typ":"JWT","kid":"k1"}' | urlsafe)
claims=$(printf '{"iss":"https://bench","aud":"bench","sub":"bench","iat":%d,"exp":%d,"workspace_id":"acme","permissions":["actions:preview"]}' \
    "$now" $((now + 3000)) | urlsafe)
token=$head.$claims.$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -sign jwt.key -binary | urlsafe)

export HOME=$directory REDIS_URL="unix://$directory/redis.sock" ALLOW_ACTIONS_DEFAULT=queue.noop ORCHESTRA_PROBE_PORT=0
ORCHESTRA_MASTER_KEY=$(openssl rand -hex 32)
export ORCHESTRA_MASTER_KEY ORCHESTRA_SANDBOX_SELFTEST=never ORCHESTRA_WORKSPACE=acme
export ORCHESTRA_API_WORKSPACE_RATE=10000000 ORCHESTRA_API_ADDRESS_RATE=10000000 ORCHESTRA_LOG_LEVEL=warning
export ORCHESTRA_AUTH_ISSUER=https://bench ORCHESTRA_AUTH_AUDIENCE=bench ORCHESTRA_API_PUBLIC_URL=http://localhost
export ORCHESTRA_AUTH_KEYS_URL="https://127.0.0.1:$issuer_port/keys.json" ORCHESTRA_AUTH_CA_FILE="$directory/tls.pem"
ports=()
for name in n1 n2; do
    port=$(free_port)
    ports+=("$port")
    ORCHESTRA_API_LISTEN="127.0.0.1:$port" ORCHESTRA_NODE_NAME=$name ORCHESTRA_STATE_DIRECTORY="$directory/$name" \
        "$bin/orchestra" worker 2>"$name.log" & pids+=($!)
done
url=http://127.0.0.1:${ports[0]}
for _ in $(seq 200); do
    curl -so /dev/null "$url/openapi.json" && curl -so /dev/null "http://127.0.0.1:${ports[1]}/openapi.json" && break
    sleep 0.1
done
key=$("$bin/orchestra" keys create --role viewer 2>/dev/null)
for credential in "$key" "$token"; do
    code=$(curl -so answer -w '%{http_code}' -H "Authorization: Bearer $credential" "$url/ai/jobs")
    [ "$code" = 200 ] || { echo "the API answered $code: $(cat answer)" >&2; cat n1.log >&2; exit 70; }
done

# Requests a second, and the 99th percentile.
load() {
    wrk -t1 -c"$connections" -d"${seconds}s" --latency "$@" >wrk.out
    if grep -q 'Non-2xx' wrk.out; then cat wrk.out >&2; exit 70; fi
    awk '/Requests\/sec/ {rate = $2} $1 == "99%" {p = $2} END {print rate, p}' wrk.out
}
median() { sort -n | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'; }
: >open; : >key; : >token
printf '%-28s %12s %12s\n' '' 'requests/s' 'p99'
for _ in $(seq "$rounds"); do
    for kind in open key token; do
        case $kind in
            open) read -r rate p99 < <(load "$url/.well-known/oauth-protected-resource") ;;
            key) read -r rate p99 < <(load -H "Authorization: Bearer $key" "$url/ai/jobs?limit=1") ;;
            token) read -r rate p99 < <(load -H "Authorization: Bearer $token" "$url/ai/jobs?limit=1") ;;
        esac
        echo "$rate" >>"$kind"
        printf '%-28s %12s %12s\n' "$kind" "$rate" "$p99"
    done
done
awk -v o="$(median <open)" -v k="$(median <key)" -v t="$(median <token)" 'BEGIN {
    printf "medians: without a credential %.0f, by key %.0f (ratio %.2f), by token %.0f (ratio %.2f)\n", o, k, k/o, t, t/o }'

# A thousand different wrong keys a second, and some good requests next to them.
cat >flood.lua <<'LUA'
local digits = "abcdefghijklmnopqrstuvwxyz234567"
local function word(n)
    local t = {}
    for i = 1, n do local k = math.random(32); t[i] = digits:sub(k, k) end
    return table.concat(t)
end
function delay() return 50 end
function request()
    wrk.headers["Authorization"] = "Bearer relay_sk_" .. word(16) .. "_" .. word(52)
    return wrk.format("GET", "/ai/jobs")
end
LUA
cat >calm.lua <<'LUA'
function delay() return 20 end
LUA
wrk -t1 -c100 -d$((seconds + 2))s -s flood.lua "$url" >flood.out & flood=$!
sleep 1
wrk -t1 -c4 -d"${seconds}s" --latency -s calm.lua -H "Authorization: Bearer $key" "$url/ai/jobs?limit=1" >calm.out
wait "$flood"
awk '/Requests\/sec/ {print "wrong keys a second: " $2}' flood.out
awk '/Requests\/sec/ {rate = $2} $1 == "50%" {m = $2} $1 == "99%" {p = $2} /Non-2xx/ {bad = $NF}
    END {print "good requests next to them: " rate "/s, p50 " m ", p99 " p ", refused " bad + 0}' calm.out

id=$(printf '%s' "$key" | cut -d_ -f3)
begin=$(date +%s%3N)
"$bin/orchestra" keys revoke "$id" >/dev/null
for port in "${ports[@]}"; do
    until [ "$(curl -so /dev/null -w '%{http_code}' -H "Authorization: Bearer $key" "http://127.0.0.1:$port/ai/jobs")" = 401 ]; do
        sleep 0.02
    done
    echo "revoked on a node after $(($(date +%s%3N) - begin)) ms, the command included"
done
