#!/usr/bin/env bash
# Makes this machine ready: setup.sh demo | check | test | bench
#
# Looks for the prerequisites and says in one sentence what is missing; as root on Debian it installs the packages that
# are not there yet. Then npm packages, the console and the test tools. Does nothing twice.
set -euo pipefail
# shellcheck source=tests/tools/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Programs of the stand-in cluster's containers. A missing one only makes those pods poorer.
POD_PACKAGES=(busybox-static vim less htop tmux zsh fish procps util-linux)
# The Python that checks the chart and the policy.
CHECK_PACKAGES=(python3 python3-venv)
# Programs that ask for passwords.
ASKING_PACKAGES=(curl dropbear-bin gpg gpg-agent mariadb-client-core openssh-client openssl passwd pinentry-curses sudo wget zip)
# What the tests start themselves: a browser with a font, a database server, and a program that sees what system calls are made.
TEST_PACKAGES=(chromium fonts-dejavu-core postgresql strace "${ASKING_PACKAGES[@]}" "${CHECK_PACKAGES[@]}")

goal=${1:?usage: setup.sh demo | check | test | bench}
mkdir -p "$root/target"
log=$root/target/setup.log
# What is to be undone when this ends, however it ends.
made_policy=
building_deny=
clean_up() {
    [ -z "$made_policy" ] || rm -f "$made_policy"
    [ -z "$building_deny" ] || kill "$building_deny" 2>/dev/null || true
}
trap clean_up EXIT

require_prerequisites() {
    command -v cargo >/dev/null || fail "Rust is missing: install it from https://rustup.rs and run this again."
    use_pinned_toolchain
    (cd "$root" && cargo --version >/dev/null) ||
        fail "The Rust toolchain of rust-toolchain.toml could not be installed: check the network and run this again."
    command -v cc >/dev/null || fail "A C compiler is missing: install gcc (Debian: apt-get install gcc libc6-dev) and run this again."
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        fail "Node.js is missing: install version 20 or newer with npm and run this again."
    fi
    # The console's build tool needs 20.19.
    node --eval 'const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' ||
        fail "Node.js $(node --version) is too old: install the newest 20 or newer and run this again."
}

missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] ||
            printf '%s\n' "$package"
    done
}

install_packages() {
    heading "Debian packages: $*"
    # Debian starts a freshly installed server at once; the tests start their own, in a folder of their own.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        made_policy=$policy
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    {
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null || {
        tail -n 20 "$log" >&2
        fail "apt-get could not install the packages above; its whole output is in target/setup.log."
    }
}

require_packages() {
    if ! command -v dpkg-query >/dev/null; then
        printf 'This is not a Debian machine; these must be there: %s\n' "$*"
        return
    fi
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -eq 0 ] && return
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        install_packages "${missing[@]}"
    elif [ "$goal" = demo ]; then
        printf 'The demo is richer with these packages: sudo apt-get install --no-install-recommends %s\n' "${missing[*]}"
    else
        fail "Debian packages are missing. Run this, then try again:
  sudo apt-get install --no-install-recommends ${missing[*]}"
    fi
}

# Installs the npm packages of a folder when its lock file changed since the last time.
npm_packages() { # folder
    local stamp="$root/$1/node_modules/.installed-lock.json"
    cmp --silent "$root/$1/package-lock.json" "$stamp" && return
    heading "npm packages of $1"
    (cd "$root/$1" && npm ci --no-audit --no-fund --loglevel=error) || fail "npm ci failed in $1; see above."
    cp "$root/$1/package-lock.json" "$stamp"
}

# Builds the console when one of its sources is newer than the last build. The relay embeds the result.
console() {
    local web=$root/relay/web built=$root/relay/web/dist/index.html
    if [ -f "$built" ] && [ -z "$(find "$web" -path "$web/node_modules" -prune -o -path "$web/dist" -prune \
        -o -type f -newer "$built" -print -quit)" ]; then
        return
    fi
    heading "The console"
    (cd "$web" && npm run --silent build) >"$log" 2>&1 || {
        cat "$log" >&2
        fail "The console could not be built; see above."
    }
}

# Built while packages are fetched, and quickly: it runs for a second.
cargo_deny() {
    local version=0.20.2 log=$root/target/cargo-deny.log
    [ "$("$root/target/tools/bin/cargo-deny" --version 2>/dev/null || true)" = "cargo-deny $version" ] && return
    heading "cargo-deny $version (once, some minutes)"
    cargo install --quiet --locked --debug "cargo-deny@$version" --root "$root/target/tools" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        fail "cargo-deny could not be installed; see above."
    }
}

require_prerequisites
case $goal in
    check | test)
        cargo_deny &
        building_deny=$!
        ;;
    *) ;;
esac
case $goal in
    demo | bench) require_packages "${POD_PACKAGES[@]}" ;;
    check) require_packages "${CHECK_PACKAGES[@]}" ;;
    test) require_packages "${POD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" ;;
    *) fail "setup.sh does not know the goal '$goal'." ;;
esac
npm_packages relay/web
console
case $goal in
    check | test)
        "$root/tests/tools/fetch-kubectl-helm.sh"
        wait "$building_deny"
        building_deny=
        ;;&
    test)
        npm_packages tests/browser
        npm_packages tests/oidc
        ;;
    *) ;;
esac
