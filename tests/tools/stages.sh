#!/usr/bin/env bash
# The stages of `make check` and `make test`, in order: stages.sh check | test
#
# Each has a heading and its time. The first red one ends the run, with its name as the last line.
set -euo pipefail
# shellcheck source=tests/tools/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
use_pinned_toolchain

goal=${1:?usage: stages.sh check | test}
python=$root/target/tools/venv/bin/python
times=()
nextest_log=$root/target/nextest.log

stage() { # name command...
    local name=$1 began=$SECONDS
    shift
    heading "$name"
    "$@" || fail "RED: $name ($((SECONDS - began)) s). The command was: $*"
    times+=("$(printf '%5d s  %s' $((SECONDS - began)) "$name")")
}

in_folder() { # folder command...
    (cd "$1" && shift && "$@")
}

rust_tests() {
    # nextest runs the test binaries side by side; it leaves out the examples in the documentation.
    if command -v cargo-nextest >/dev/null; then
        cargo nextest run --workspace --locked --no-fail-fast --test-threads $((2 * $(nproc))) 2>&1 | tee "$nextest_log" &&
            cargo test --workspace --locked --doc --quiet
    else
        cargo test --workspace --locked --no-fail-fast
    fi
}

stage "Rust format" cargo fmt --all --check
stage "Licences, bans, sources" target/tools/bin/cargo-deny --locked check --hide-inclusion-graph --allow unused-wrapper bans licenses sources
stage "Chart" "$python" tests/chart/check.py
stage "Image build files" "$python" tests/images/check.py
stage "Console: lint" in_folder relay/web npm run --silent lint
stage "Console: types" in_folder relay/web npm run --silent check
stage "Console: unit tests" in_folder relay/web npm test --silent
stage "Clippy, warnings denied" cargo clippy --workspace --all-targets --locked -- -D warnings
if [ "$goal" = test ]; then
    # All targets: the tests' own dependencies choose features, and without them the relay would be built twice.
    stage "Build" cargo build --workspace --all-targets --locked
    stage "Rust tests" rust_tests
    stage "Browser end to end" in_folder tests/browser npm test --silent
fi

heading "All green"
printf '%s\n' "${times[@]}"
if [ "$goal" = test ] && grep -q '^ *FLAKY' "$nextest_log" 2>/dev/null; then
    echo 'FLAKY (these failed once and passed when they ran again; mend them):'
    grep '^ *FLAKY' "$nextest_log" | sort -u
fi
