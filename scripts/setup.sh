#!/usr/bin/env bash
# Make .venv hold exactly the pinned requirements, and this package, editable. Does nothing when it already does.
# With the argument `language`, also what the language wing needs.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=.venv
stamp=$environment/.installed # the digests of what it was made from; empty while that is under way

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

digest() { "$environment/bin/python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"; }

installed() { [[ -f $stamp ]] && grep -qx "$1 $(digest "$1")" "$stamp"; }

create() {
    local python chosen=
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if command -v "$python" >/dev/null && suits "$python"; then
            chosen=$python
            break
        fi
    done
    [[ -n $chosen ]] || fail \
        "needs Python 3.11, 3.12 or 3.13; '${PYTHON:-python3}' is $("${PYTHON:-python3}" -V 2>/dev/null || echo not there)." \
        "Install one, or name it: make PYTHON=/path/to/python3.12 …"
    "$chosen" -c 'import ensurepip, venv' 2>/dev/null || fail \
        "$chosen cannot create virtual environments: its module venv or ensurepip is missing." \
        "Debian, Ubuntu: apt-get install python3-venv. Or name another: make PYTHON=/path/to/python3.12 …"
    echo "setup: creating $environment with $("$chosen" -V)"
    rm -rf "$environment"
    "$chosen" -m venv "$environment" || fail "creating $environment failed; the lines above say why."
    : >"$stamp"
}

# What pip does now, on one line of a terminal; all of it in a log, whose end is shown when pip fails.
install() {
    local log=$environment/pip.log verb object status=0
    "$environment/bin/python" -m pip install --disable-pip-version-check --no-input "$@" 2>&1 | tee "$log" |
        while read -r verb object _; do
            case $verb in
            Collecting | Downloading | Installing) [[ ! -t 1 ]] || printf '\r\033[K  %s %s' "$verb" "$object" ;;
            esac
        done || status=$?
    [[ ! -t 1 ]] || printf '\r\033[K'
    if [[ $status != 0 ]]; then
        grep -v '^WARNING' "$log" | tail -n 20 >&2
        fail "pip could not install; all that it said is in $log"
    fi
}

if [[ ! -e $environment ]]; then
    create
elif [[ ! -f $stamp ]]; then
    fail "$environment exists and was not made by \`make\`; move it away, then repeat."
elif ! suits "$environment/bin/python"; then
    echo "setup: the Python of $environment is gone, or not 3.11 to 3.13; making it anew"
    create
elif ! installed requirements.txt; then
    # Installing over other versions can leave files of both behind.
    [[ ! -s $stamp ]] || echo "setup: requirements.txt has changed; making $environment anew"
    PYTHON=${PYTHON:-$("$environment/bin/python" -c 'import sys; print(sys._base_executable)')} create
fi

if ! installed requirements.txt; then
    echo "setup: installing the $(grep -c == requirements.txt) pinned packages (a few minutes)"
    install -r requirements.txt
    echo "requirements.txt $(digest requirements.txt)" >"$stamp"
fi
if ! installed requirements-data.txt; then
    install --no-deps -r requirements-data.txt
    sed -i.old '/^requirements-data.txt /d' "$stamp"
    echo "requirements-data.txt $(digest requirements-data.txt)" >>"$stamp"
fi
if [[ ${1:-} == language ]] && ! installed requirements-language.txt; then
    echo "setup: installing the $(grep -c == requirements-language.txt) pinned packages of the language wing"
    install -r requirements-language.txt -c requirements.txt
    sed -i.old '/^requirements-language.txt /d' "$stamp"
    echo "requirements-language.txt $(digest requirements-language.txt)" >>"$stamp"
fi
if ! installed pyproject.toml; then
    install --no-deps --editable .
    sed -i.old '/^pyproject.toml /d' "$stamp"
    echo "pyproject.toml $(digest pyproject.toml)" >>"$stamp"
    echo "setup: $environment is ready"
fi
