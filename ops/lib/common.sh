# shellcheck shell=bash disable=SC2016
# Shared by ops/run, ops/test and .ci/run: what a bare Debian machine lacks is installed here, and
# work that must not happen as root is handed to an unprivileged user.

# shellcheck disable=SC2034  # the lists are used by the scripts that source this
# What the build links and what the product starts. `prometheus` brings promtool for the tests.
ORC_RUNTIME_PACKAGES=(redis-server tmux bubblewrap uidmap util-linux)
# shellcheck disable=SC2034
ORC_BUILD_PACKAGES=(libhiredis-dev libssl-dev libargon2-dev pkg-config gcc libc6-dev)
# shellcheck disable=SC2034
ORC_TEST_PACKAGES=(prometheus openssl curl)
ORC_SERVICE_USER=orchestra
ORC_SERVICE_HOME=/var/lib/orchestra

orc_note() { printf '==> %s\n' "$*" >&2; }
orc_fail() { printf 'error: %s\n' "$2" >&2; exit "$1"; }

orc_missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' \
            || printf '%s\n' "$package"
    done
}

# Installs the named packages that are missing; as another user it asks sudo, and without sudo it
# says what to type. RUNLEVEL=1 keeps Debian's scripts from starting the services they bring: the
# product starts its own Redis, on a socket of its own.
orc_install() {
    local missing
    mapfile -t missing < <(orc_missing_packages "$@")
    [ "${#missing[@]}" -eq 0 ] && return 0
    orc_note "installing ${missing[*]}"
    local apt=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1)
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            apt=(sudo "${apt[@]}")
        else
            orc_fail 69 "these packages are missing and need root: apt-get install ${missing[*]}"
        fi
    fi
    local log
    log=$(mktemp)
    if ! "${apt[@]}" apt-get update -qq >"$log" 2>&1; then
        cat "$log" >&2
        orc_fail 69 "apt-get update failed; check the network and /etc/apt"
    fi
    if ! "${apt[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
        cat "$log" >&2
        orc_fail 69 "apt-get could not install: ${missing[*]}"
    fi
    rm -f "$log"
}

orc_require_swift() {
    command -v swift >/dev/null \
        || orc_fail 69 "swift was not found in PATH; install Swift 6.3 from swift.org and try again"
}

# Runs "$@" (a path below the checkout, then arguments) as the service user when started as root.
# The checkout is copied into that user's home, because a clone in /root is not readable by others
# and nothing of the build should run with root's rights. Returns only when already unprivileged.
orc_drop_root() {
    local root=$1; shift
    [ "$(id -u)" -eq 0 ] || return 0
    orc_install rsync
    if ! id "$ORC_SERVICE_USER" >/dev/null 2>&1; then
        orc_note "creating the unprivileged user $ORC_SERVICE_USER"
        useradd --system --create-home --home-dir "$ORC_SERVICE_HOME" --shell /bin/bash "$ORC_SERVICE_USER"
        # git refuses to clone from package mirrors on this machine that belong to another user.
        printf '[safe]\n\tdirectory = *\n' > "$ORC_SERVICE_HOME/.gitconfig"
    fi
    orc_give_users
    orc_give_groups
    local name copy
    name=$(printf '%s' "$root" | sha256sum | cut -c1-8)
    copy="$ORC_SERVICE_HOME/checkout-$name"
    orc_note "continuing as $ORC_SERVICE_USER in $copy"
    # Root only reads: what is written below the service user's home is written by that user, so that
    # nothing planted there can lead root elsewhere.
    tar -C "$root" --exclude=./.git --exclude='./.build*' --exclude=./Package.resolved -cf - . \
        | orc_as_service_user bash -c '
            set -euo pipefail
            umask 022
            fresh=$(mktemp -d "$HOME/fresh-XXXXXX")
            trap '"'"'rm -rf "$fresh"'"'"' EXIT
            tar -C "$fresh" -xf -
            mkdir -p "$1"
            rsync -a --delete --exclude="/.build*" --exclude=/Package.resolved "$fresh/" "$1/"' bash "$copy"
    orc_as_service_user --exec bash -c 'cd "$1" && exec bash "./$2" "${@:3}"' bash "$copy" "$@"
}

# Gives the service user a range of users for its sandboxes, behind all ranges that are given already.
orc_give_users() {
    local first
    grep -q "^$ORC_SERVICE_USER:" /etc/subuid 2>/dev/null && grep -q "^$ORC_SERVICE_USER:" /etc/subgid 2>/dev/null \
        && return 0
    first=$(cat /etc/subuid /etc/subgid 2>/dev/null \
        | awk -F: 'BEGIN { m = 200000 } $2 + $3 > m { m = $2 + $3 } END { print m }')
    usermod --add-subuids "$first-$((first + 65535))" --add-subgids "$first-$((first + 65535))" "$ORC_SERVICE_USER"
}

# Gives the service user control groups below this shell's own in every hierarchy that can limit a sandbox: memory and
# processes of a whole tree, and its end as one, come by them. A host that has none to give is told of by the doctor.
orc_give_groups() {
    local number controllers path mount base file
    while IFS=: read -r number controllers path; do
        case "$number,$controllers," in
        0,,) mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts) ;;
        *,pids,* | *,memory,* | *,cpu,*)
            mount=$(awk -v wanted=",$controllers," \
                '$3 == "cgroup" && index("," $4 ",", wanted) { print $2; exit }' /proc/self/mounts)
            ;;
        *) continue ;;
        esac
        [ -n "$mount" ] || continue
        # Started by something that has joined already.
        base=$mount${path%/}/$ORC_SERVICE_USER
        base=${base/"/$ORC_SERVICE_USER/node/$ORC_SERVICE_USER"/"/$ORC_SERVICE_USER"}
        # Only the host's root group, and one without processes, can hand on its limits; what it cannot is done without.
        [ "$number" != 0 ] || for file in memory pids cpu; do
            echo "+$file" 2>/dev/null >"$(dirname "$base")/cgroup.subtree_control" || true
        done
        mkdir -p "$base/node" 2>/dev/null || continue
        for file in '' /node /cgroup.procs /node/cgroup.procs /cgroup.subtree_control /cgroup.threads; do
            [ ! -e "$base$file" ] || chown "$ORC_SERVICE_USER" "$base$file" 2>/dev/null || true
        done
        ORC_GROUPS+=("$base/node/cgroup.procs")
    done < <(cat /proc/self/cgroup)
}
ORC_GROUPS=()

# Runs a command as the service user with that user's environment and a few variables of ours. Nothing is
# passed as an argument that could hold a secret. With --exec it replaces this shell.
orc_as_service_user() {
    local is_last=no
    if [ "$1" = --exec ]; then
        is_last=yes
        shift
    fi
    (
        cd /
        local variable
        for variable in $(compgen -e); do
            case $variable in
            PATH | TERM | CI | REDIS_URL | SWIFT_BACKTRACE) ;;
            *) unset "$variable" ;;
            esac
        done
        export HOME="$ORC_SERVICE_HOME" USER="$ORC_SERVICE_USER" LOGNAME="$ORC_SERVICE_USER"
        export LANG=C.UTF-8 SHELL=/bin/bash TERM="${TERM:-dumb}"
        for variable in "${ORC_GROUPS[@]}"; do
            echo "$BASHPID" 2>/dev/null >"$variable" || true
        done
        exec setpriv --reuid "$ORC_SERVICE_USER" --regid "$ORC_SERVICE_USER" --clear-groups --inh-caps=-all "$@"
    )
    local status=$?
    [ "$is_last" = no ] || exit "$status"
    return "$status"
}

# Shows of a build only what a person acts on: errors, warnings, and the last line.
orc_quiet_build() { grep --line-buffered -E 'error:|warning:|^Build complete' || true; }

# The directory of a configuration's executables.
orc_bin() { printf '%s/.build/%s' "$PWD" "$1"; }

# Builds the named products in one configuration; the first time fetches and builds the dependencies.
orc_build() {
    local configuration=$1 product; shift
    for product in "$@"; do
        orc_note "building $product ($configuration); the first time takes some minutes"
        swift build -c "$configuration" --product "$product" 2>&1 | orc_quiet_build
    done
}

# Runs the supervisors under real contention with the race detector on, in a build of its own. What the standard
# library's Mutex guards is left out: the detector does not see that lock and would report every use of it.
orc_check_races() {
    local product=orchestra-bench-supervision suppressions=$PWD/.build-thread/suppressions
    orc_note "checking the supervisors for data races"
    swift build --sanitize thread --scratch-path .build-thread --product "$product" 2>&1 | orc_quiet_build
    printf 'race:%s\n' Countdown ChildLink StormGuard >"$suppressions"
    TSAN_OPTIONS="suppressions=$suppressions halt_on_error=1" SWIFT_BACKTRACE="enable=no" \
        ".build-thread/debug/$product" contention --supervisors 50 --children 200
}
