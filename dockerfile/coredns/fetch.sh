#!/usr/bin/env bash
# Puts a static CoreDNS into the folder named, built from the Go module proxy. Go's checksum database vouches for the
# source; Go fetches the newer toolchain that CoreDNS asks for by itself.

set -euo pipefail
context=$1
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../pins.sh"

die() { printf 'coredns: %s\n' "$*" >&2; exit 1; }
command -v go >/dev/null || die "No go: install Go 1.21 or newer"

CGO_ENABLED=0 GOBIN=$context go install -trimpath -ldflags='-s -w' "github.com/coredns/coredns@v$COREDNS_VERSION" >&2 ||
    die "Can't build CoreDNS $COREDNS_VERSION"
"$context/coredns" -version >&2
