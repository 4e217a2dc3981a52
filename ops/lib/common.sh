# shellcheck shell=bash disable=SC2016
# Shared by the scripts of ops and .ci: installs what a bare Debian machine lacks, and runs as an unprivileged user what
# must not run as root.

# shellcheck disable=SC2034  # the lists are used by the scripts that source this
# What the product starts, what the build links, and what tests use. `prometheus` contains promtool.
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

# Installs the named packages that only some tests need. Without root and sudo the tests are skipped; each prints why.
orc_install_optional() {
    local missing
    mapfile -t missing < <(orc_missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; then
        orc_note "not installed: ${missing[*]}; the tests that need them are skipped"
        return 0
    fi
    orc_install "${missing[@]}"
}

# Installs the named packages that are missing, through sudo when the user is not root; without sudo it prints the command
# to run. RUNLEVEL=1 keeps Debian's scripts from starting services: the product starts its own Redis, on its own socket.
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
# The checkout is copied into that user's home, because a clone in /root is not readable by others and no part of the build
# should run as root. Returns only when the user is not root.
orc_drop_root() {
    local root=$1; shift
    [ "$(id -u)" -eq 0 ] || return 0
    orc_install rsync
    if ! id "$ORC_SERVICE_USER" >/dev/null 2>&1; then
        orc_note "creating the unprivileged user $ORC_SERVICE_USER"
        useradd --system --create-home --home-dir "$ORC_SERVICE_HOME" --shell /bin/bash "$ORC_SERVICE_USER"
        # git refuses to clone from a local package mirror of another user.
        printf '[safe]\n\tdirectory = *\n' > "$ORC_SERVICE_HOME/.gitconfig"
    fi
    orc_give_users
    orc_give_groups
    local name copy
    name=$(printf '%s' "$root" | sha256sum | cut -c1-8)
    copy="$ORC_SERVICE_HOME/checkout-$name"
    orc_note "continuing as $ORC_SERVICE_USER in $copy"
    # Root only reads: files below the service user's home are written by that user, so that a link planted there cannot
    # make root write elsewhere. A lock keeps two runs from copying at once.
    tar -C "$root" --exclude=./.git --exclude='./.build*' --exclude=./Package.resolved -cf - . \
        | orc_as_service_user bash -c '
            set -euo pipefail
            umask 022
            fresh=$(mktemp -d "$HOME/fresh-XXXXXX")
            trap '"'"'rm -rf "$fresh"'"'"' EXIT
            tar -C "$fresh" -xf -
            mkdir -p "$1"
            exec 9>"$1.lock"
            flock 9
            rsync -a --checksum --delete --exclude="/.build*" --exclude=/Package.resolved "$fresh/" "$1/"' bash "$copy"
    orc_as_service_user --exec bash -c 'cd "$1" && exec bash "./$2" "${@:3}"' bash "$copy" "$@"
}

# Gives the service user a range of subordinate users for its sandboxes, after all ranges in use.
orc_give_users() {
    local first
    grep -q "^$ORC_SERVICE_USER:" /etc/subuid 2>/dev/null && grep -q "^$ORC_SERVICE_USER:" /etc/subgid 2>/dev/null \
        && return 0
    first=$(cat /etc/subuid /etc/subgid 2>/dev/null \
        | awk -F: 'BEGIN { m = 200000 } $2 + $3 > m { m = $2 + $3 } END { print m }')
    usermod --add-subuids "$first-$((first + 65535))" --add-subgids "$first-$((first + 65535))" "$ORC_SERVICE_USER"
}

# Gives the service user control groups below this shell's own in every hierarchy that can limit a sandbox: they limit the
# memory and the processes of a whole tree and end it as one. `orchestra doctor` reports a host without them.
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
        # The caller may have joined such a group already.
        base=$mount${path%/}/$ORC_SERVICE_USER
        base=${base/"/$ORC_SERVICE_USER/node/$ORC_SERVICE_USER"/"/$ORC_SERVICE_USER"}
        # Only the root group, and a group without processes, can delegate controllers; the others are left out.
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

# Runs a command as the service user, with that user's environment and a few variables of the caller. No secret is passed as
# an argument. With --exec it replaces this shell.
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
            PATH | TERM | CI | REDIS_URL | SWIFT_BACKTRACE | ORCHESTRA_FUZZ_RUNS | ORCHESTRA_SIMULATION_SEEDS \
                | ORCHESTRA_TEST_AGENTS | ORCHESTRA_TEST_COVERAGE | ORCHESTRA_AGENTS_TOOLS | SOURCE_DATE_EPOCH) ;;
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

# Runs `swift build` and prints the errors and warnings of this package only, not those of its dependencies. When the build
# fails for another reason, prints the end of its output.
orc_swift_build() {
    local log status=0
    log=$(mktemp)
    swift build --explicit-target-dependency-import-check error "$@" >"$log" 2>&1 || status=$?
    grep -E "^($PWD/)?(Sources|Tests|Package\.swift)[^ ]*:[0-9]+.*(error|warning):|^Build complete" "$log" | sort -u || true
    [ "$status" -eq 0 ] || tail -n 40 "$log" >&2
    rm -f "$log"
    # When it measures coverage, the compiler leaves expanded macros at the top level, in files with broken names.
    find . -maxdepth 1 -type f -exec grep -lZ '^// original-source-range: @__swiftmacro' {} + | xargs -0r rm -- || true
    return "$status"
}

# The directory of a configuration's executables.
orc_bin() { printf '%s/.build/%s' "$PWD" "$1"; }

# Builds the named products in one configuration; the first time fetches and builds the dependencies. A release contains the
# Swift libraries, so that it runs on machines without a Swift toolchain.
orc_build() {
    local configuration=$1 product options=(); shift
    [ "$configuration" != release ] || options=(--static-swift-stdlib)
    for product in "$@"; do
        orc_note "building $product ($configuration); the first time takes some minutes"
        orc_swift_build -c "$configuration" "${options[@]}" --product "$product"
    done
}

# The test targets that need a server, a process or time: everything else is a unit target. This is the one list.
orc_integration_targets() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' ops/lib/integration-targets; }

# A filter of `swift test` for the unit targets, or with `integration` for the others.
orc_test_filter() {
    local targets=() name integration
    integration=$(orc_integration_targets)
    while IFS= read -r name; do
        if grep -qxF "$name" <<<"$integration"; then
            [ "${1:-unit}" != integration ] || targets+=("$name")
        else
            [ "${1:-unit}" = integration ] || targets+=("$name")
        fi
    done < <(orc_test_targets)
    (IFS='|'; printf '^(%s)\\.' "${targets[*]}")
}

# The test targets of the package.
orc_test_targets() { find Tests -mindepth 1 -maxdepth 1 -type d -name '*Tests' -printf '%f\n' | sort; }

# With ORCHESTRA_TEST_COVERAGE=1 the tests count which lines run, also in the programs that they start, as far as these end by
# themselves. These are the options of their build, and where the counters go.
ORC_COVERAGE=()
ORC_PROFILES=$PWD/.build/profiles
if [ "${ORCHESTRA_TEST_COVERAGE:-}" = 1 ]; then
    ORC_COVERAGE=(--enable-code-coverage)
    # Several files for each program: one that is killed while it writes spoils one of them.
    export LLVM_PROFILE_FILE="$ORC_PROFILES/%8m.profraw"
fi

# Builds the tests and all products. Where coverage is counted, the shim is the release's, without counters: it would write
# them into the working directories of agents.
orc_build_tests() {
    orc_swift_build --build-tests "${ORC_COVERAGE[@]}"
    [ "${#ORC_COVERAGE[@]}" -gt 0 ] || return 0
    orc_build release orchestra-shim
    install -m 0755 "$(orc_bin release)/orchestra-shim" "$(orc_bin debug)/orchestra-shim"
}

# Runs tests that are built, at most ten at once: more would starve those that wait for a process on a machine with two
# cores. A crash would otherwise print the memory that registers point to.
orc_swift_test() {
    # Counters of this run only.
    [ "${#ORC_COVERAGE[@]}" -eq 0 ] || rm -rf "$ORC_PROFILES"
    SWIFT_BACKTRACE="enable=no" swift test --skip-build --disable-xctest \
        --experimental-maximum-parallelization-width 10 "$@"
}

# Feeds mutations of the seeds to the parsers.
orc_fuzz() {
    local target runs
    for target in resp shim json screen text redact; do
        orc_note "fuzzing the parsers: $target"
        runs=${ORCHESTRA_FUZZ_RUNS:-100000}
        # Each input is redacted five times, which a debug build does slowly.
        [ "$target" != redact ] || runs=$((runs / 20))
        SWIFT_BACKTRACE="enable=no" "$(orc_bin debug)/orchestra-fuzz" "$target" "Tests/Fuzz/Seeds/$target" --runs "$runs"
    done
}

# Simulates histories of faults of the queue, visits the states of supervisors, and tries more of random input.
orc_simulate() {
    orc_note "simulating the queue: ${ORCHESTRA_SIMULATION_SEEDS:-1000} histories of faults"
    ORCHESTRA_SIMULATION_SEEDS="${ORCHESTRA_SIMULATION_SEEDS:-1000}" \
        orc_swift_test \
        --filter '^SimulationTests\.|\.(SupervisorMachineTests|HostileBytesTests|BudgetLedgerTests)/'
}

# The options of a build with the race detector.
ORC_THREAD_BUILD=(--sanitize thread --scratch-path .build-thread)

# Runs a command of that build. The detector does not know the lock of the standard library's Mutex and would report every
# use of the state that it guards. One suppression names the closures of `withLock` by their mangled type; nothing else can
# reach that state, by the rules of the language. The other names the library's own waiting function, as the place of the
# access itself and not as a caller: a continuation that is resumed before its task waits is handed over by an atomic of the
# runtime's, which the detector does not see either.
orc_detecting_races() {
    TSAN_OPTIONS="suppressions=$PWD/ops/lib/thread-suppressions halt_on_error=1" SWIFT_BACKTRACE="enable=no" "$@"
}

# Runs the supervisors under contention with the race detector on, in a build of its own.
orc_check_races() {
    local product=orchestra-bench-supervision
    orc_note "checking the supervisors for data races"
    orc_swift_build "${ORC_THREAD_BUILD[@]}" --product "$product"
    orc_detecting_races ".build-thread/debug/$product" contention --supervisors 50 --children 200
}
