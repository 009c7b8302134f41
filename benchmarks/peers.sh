#!/usr/bin/env bash
# Install the libraries that headstart is measured against, each in an environment of its own under .venvs/.
#
#   benchmarks/peers.sh                 all of them
#   benchmarks/peers.sh d3rlpy sbx      some of them
#
# torch is installed first and spelled without a local version, so that pip takes a CPU build where the index offers
# one; what is installed after it then finds torch present and leaves it alone.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
torch=torch==2.13.0

install() {
    local name=$1 environment=.venvs/$1
    shift
    if [[ -f $environment/.installed && $(<"$environment/.installed") == "$*" ]]; then
        echo "$name: already installed in $environment"
        return
    fi
    echo "$name: installing $* in $environment"
    rm -rf "$environment"
    "$python" -m venv "$environment"
    for requirements in "$@"; do
        # shellcheck disable=SC2086  # one argument may hold several requirements
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check $requirements
    done
    echo "$*" >"$environment/.installed"
}

for peer in "${@:-d3rlpy sb3 sbx mabwiser trl}"; do
    for name in $peer; do
        case $name in
        d3rlpy) install d3rlpy "$torch" "d3rlpy==2.8.1" ;;
        sb3) install sb3 "$torch" "stable-baselines3==2.9.2 gymnasium[mujoco]==1.4.0 mujoco==3.17.0" ;;
        sbx) install sbx "$torch" "sbx-rl==0.28.0 gymnasium[mujoco]==1.4.0 mujoco==3.17.0" ;;
        mabwiser) install mabwiser "mabwiser==2.7.4" ;;
        trl) install trl "$torch" "trl==1.16.0 peft==0.21.2 datasets==5.2.0 transformers==5.23.0" ;;
        *)
            echo "peers.sh: unknown peer '$name': expected d3rlpy, sb3, sbx, mabwiser or trl" >&2
            exit 2
            ;;
        esac
    done
done
