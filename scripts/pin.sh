#!/usr/bin/env bash
# Write requirements.txt and requirements-language.txt: the exact versions that `make` installs, resolved in a clean
# environment from the ranges in pyproject.toml. Run it to take newer versions, then run the tests before committing the result.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"${PYTHON:-python3}" -m venv "$environment"
pip() { "$environment/bin/python" -m pip --disable-pip-version-check "$@"; }

echo "Resolving in a clean environment …"
pip install --quiet --upgrade "pip>=25.1" # the first that reads dependency groups
# MuJoCo 4 warns about an attribute of Gymnasium 1.4's HalfCheetah and Ant models; the simulated physics is the same.
pip install --quiet --group dev ".[all]" "mujoco<4"
pinned=$(pip freeze --exclude headstart)

{
    echo "# What \`make\` installs: exact versions for Python 3.11 to 3.13. Written by scripts/pin.sh; do not edit."
    echo "$pinned"
} >requirements.txt
echo "requirements.txt: $(wc -l <<<"$pinned") packages"

pip install --quiet ".[language]"
{
    echo "# What \`make test\` installs besides requirements.txt: the language wing's. Written by scripts/pin.sh; do not edit."
    pip freeze --exclude headstart | sed 's/+cpu$//' | grep -vxF "$pinned" | grep -v '^nvidia\|^cuda\|^triton'
} >requirements-language.txt
echo "requirements-language.txt: $(grep -c == requirements-language.txt) packages"
