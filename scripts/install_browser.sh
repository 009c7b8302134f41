#!/usr/bin/env bash
# Make sure that there is a Chromium or Chrome for the tests that open the report page. Does nothing when there is one.
set -euo pipefail

for browser in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$browser" >/dev/null; then
        exit 0
    fi
done

if [[ $(id -u) == 0 ]]; then
    as_root=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    as_root=(false)
fi

if command -v apt-get >/dev/null && [[ ${as_root[*]} != false ]]; then
    echo "install_browser: installing Chromium with apt-get (about a minute)"
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    if { "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install --yes --no-install-recommends chromium; } \
        >"$log" 2>&1; then
        rm "$log"
        exit 0
    fi
    tail -n 5 "$log" >&2
    echo "install_browser: apt-get failed; all that it said is in $log" >&2
fi

echo "install_browser: the tests of the report page need Chromium or Chrome on the PATH." >&2
echo "Install one (Debian, Ubuntu: apt-get install chromium; macOS: brew install --cask chromium), then repeat." >&2
exit 1
