# shellcheck shell=bash
# Shared by the scripts behind the Makefile. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LC_ALL=C.UTF-8

heading() {
    printf '\n==> %s\n' "$1"
}

fail() {
    printf '\n%s\n' "$1" >&2
    exit 1
}

# The version that rust-toolchain.toml names. rustup would download it; where the machine's stable is that very version,
# it serves as well and needs no network.
use_pinned_toolchain() {
    local pinned
    pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$root/rust-toolchain.toml")
    if command -v rustup >/dev/null && ! rustup toolchain list | grep -q "^$pinned" &&
        rustup run stable rustc --version 2>/dev/null | grep -q "^rustc $pinned "; then
        export RUSTUP_TOOLCHAIN=stable
    fi
}
