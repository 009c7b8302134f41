#!/usr/bin/env bash
# Make .venv hold the pinned requirements and this package, editable. Does nothing when it already does.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

digest() { cat requirements.txt pyproject.toml | "$1" -c 'import hashlib, sys
print(sys.version_info[:2], hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

# What pip does, on one line of a terminal; all of it in a log that is shown when pip fails.
install() {
    local log=$environment/pip.log
    if ! "$environment/bin/python" -m pip install --disable-pip-version-check --no-input "$@" 2>&1 | tee "$log" |
        while read -r verb object _; do
            case $verb in
            Collecting | Downloading | Installing) [[ -t 1 ]] && printf '\r\033[K  %s %s' "$verb" "$object" ;;
            esac
        done; then
        [[ -t 1 ]] && printf '\r\033[K'
        grep -v '^WARNING: Location' "$log" | tail -n 20 >&2
        fail "installing failed; all that pip said is in $log"
    fi
    [[ ! -t 1 ]] || printf '\r\033[K'
}

environment=.venv
if [[ -e $environment ]] && ! suits "$environment/bin/python"; then
    echo "setup: the Python of $environment is gone or not 3.11 to 3.13; making it anew"
    rm -rf "$environment"
fi

if [[ ! -e $environment ]]; then
    chosen=
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if command -v "$python" >/dev/null && suits "$python"; then
            chosen=$python
            break
        fi
    done
    [[ -n $chosen ]] || fail \
        "needs Python 3.11, 3.12 or 3.13; '${PYTHON:-python3}' is $("${PYTHON:-python3}" -V 2>&1 || true)." \
        "Install one, or name it: make PYTHON=/path/to/python3.12 …"
    "$chosen" -c 'import ensurepip, venv' 2>/dev/null || fail \
        "$chosen cannot create virtual environments: its modules venv or ensurepip are missing." \
        "On Debian and Ubuntu: apt-get install python3-venv. Or name another Python: make PYTHON=/path/to/python3.12 …"
    echo "setup: creating $environment with $("$chosen" -V)"
    "$chosen" -m venv "$environment" || fail "creating $environment failed; the lines above say why"
fi

stamp=$environment/.installed
if [[ ! -f $stamp || $(<"$stamp") != "$(digest "$environment/bin/python")" ]]; then
    rm -f "$stamp"
    echo "setup: installing $(grep -c == requirements.txt) pinned packages into $environment (a few minutes the first time)"
    install -r requirements.txt
    install --no-deps --editable .
    digest "$environment/bin/python" >"$stamp"
    echo "setup: ready"
fi
