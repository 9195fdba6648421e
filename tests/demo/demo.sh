#!/usr/bin/env bash
# `make demo`: a stand-in cluster, a relay and an agent on this machine, and one link to open. Ctrl-C ends and removes it all.
set -euo pipefail
# shellcheck source=tests/tools/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"
cd "$root"
use_pinned_toolchain

bin=${CARGO_TARGET_DIR:-$root/target}/debug
data=$(mktemp -d "${TMPDIR:-/tmp}/podlatch-demo.XXXXXX")
# In the order in which they were started.
pids=()
names=()

start() { # name command...
    local name=$1
    shift
    "$@" >"$data/$name.out" 2>"$data/$name.log" </dev/null &
    pids+=($!)
    names+=("$name")
}

show_log_and_fail() { # name sentence
    printf '\n%s The end of its log:\n\n' "$2" >&2
    tail -n 15 "$data/$1.log" >&2
    exit 1
}

# Waits for a line that begins with a word on a program's standard output, and prints the line.
line_of() { # name word
    local deadline=$((SECONDS + 60))
    until grep -m1 "^$2 " "$data/$1.out" 2>/dev/null; do
        is_running "$1" || show_log_and_fail "$1" "The $1 has ended."
        [ $SECONDS -lt $deadline ] || show_log_and_fail "$1" "The $1 does not start."
        sleep 0.1
    done
}

is_running() { # name
    local index
    for index in "${!names[@]}"; do
        [ "${names[$index]}" = "$1" ] && kill -0 "${pids[$index]}" 2>/dev/null && return
    done
    return 1
}

# Ends everything in the opposite order. Each gets a few seconds, then no more.
clean_up() {
    local status=$? index
    trap - EXIT
    trap '' INT TERM
    for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
        kill -TERM "${pids[$index]}" 2>/dev/null || true
        timeout 10 tail --pid="${pids[$index]}" -f /dev/null || kill -KILL "${pids[$index]}" 2>/dev/null || true
    done
    rm -rf "$data"
    printf '\nThe demo has ended; nothing of it is left.\n'
    exit $status
}

wait_until_ready() { # url
    local deadline=$((SECONDS + 60))
    until node --eval 'fetch(process.argv[1]).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))' "$1"; do
        is_running agent || show_log_and_fail agent "The agent has ended."
        [ $SECONDS -lt $deadline ] || show_log_and_fail agent "The agent does not reach the relay."
        sleep 0.2
    done
}

heading "Building (some minutes the first time)"
cargo build --quiet --locked --package podlatch-devcluster --package podlatch-relay --package podlatch-agent

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

heading "Starting a stand-in cluster, a relay and an agent"
start cluster "$bin/podlatch-devcluster" --data "$data/cluster"
kubeconfig=$(line_of cluster ready | sed 's/.* kubeconfig=//')
cat "$data/cluster.log"

start relay "$bin/podlatch-relay" serve --data "$data/relay" \
    --http-listen "${PODLATCH_DEMO_HTTP:-127.0.0.1:0}" --tunnel-listen 127.0.0.1:0
read -r _ url tunnel < <(line_of relay ready)
url=${url#http=} tunnel=${tunnel#tunnel=}

admin() {
    "$bin/podlatch-relay" admin "$@" --data "$data/relay" --public-url "$url" --tunnel-address "$tunnel" 2>"$data/admin.log" ||
        show_log_and_fail admin "podlatch-relay admin $1 failed."
}

link=$(admin create-organisation --name Demo --owner-email you@example.com | grep -Eom1 'https?://[^ "]*/sign-in#pll_[A-Za-z0-9_-]+')
join=$(admin create-cluster --organisation Demo --name demo)
pin=$(grep -Eom1 'sha256:[0-9a-f]{64}' <<<"$join")
grep -Eom1 'plj_[A-Za-z0-9_-]+' <<<"$join" >"$data/join-token"

# The rights of the chart, not an administrator's: what works here works in a cluster.
start agent env PODLATCH_DRAIN_TIMEOUT=1 "$bin/podlatch-agent" run --relay "$tunnel" --ca-pin "$pin" \
    --join-token-file "$data/join-token" --identity "file:$data/agent" --health-listen 127.0.0.1:0 \
    --kubeconfig "$(dirname "$kubeconfig")/podlatch-agent.kubeconfig"
wait_until_ready "$(line_of agent health | sed 's/^health //')/readyz"

cat <<TEXT

Open this link; it signs you in once, within the hour:

    $link

Then: demo, a namespace, a pod. Try "tools" in "default" (bash, vim, htop) or "web" in "shop" (two containers).
kubectl works too:  kubectl --kubeconfig $kubeconfig get pods --all-namespaces

Logs are in $data. Ctrl-C ends everything.
TEXT

# Until Ctrl-C, or until one of them ends by itself.
wait -n "${pids[@]}" || true
for name in "${names[@]}"; do
    is_running "$name" || show_log_and_fail "$name" "The $name has ended by itself."
done
