#!/usr/bin/env bash
# Builds everything optimised, then measures the whole line against direct exec.
set -euo pipefail
# shellcheck source=tests/tools/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
use_pinned_toolchain

cargo build --release --locked --workspace --bins
# Not through cargo: for one package alone it would choose other features and build the dependencies once more.
exec target/release/podlatch-bench "$@"
