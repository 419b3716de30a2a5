#!/usr/bin/env bash
# Puts a static CoreDNS into the folder named, built from the Go module proxy. Go's checksum database vouches for the
# source. Go fetches the newer toolchain that CoreDNS asks for by itself; where there is no Go, Debian's is used for this
# once.

set -euo pipefail
context=$1
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../pins.sh"

die() { printf 'coredns: %s\n' "$*" >&2; exit 1; }
if ! command -v go >/dev/null; then
    for package in "golang-$GO_SERIES-go" "golang-$GO_SERIES-src"; do
        version=$(bash "$here/../unpack-deb.sh" --list "$GO_SUITE" "$package" | head -n 1)
        [ -n "$version" ] || die "No go: install Go 1.21 or newer"
        bash "$here/../unpack-deb.sh" "$GO_SUITE" "$package" "$version" "$context/debian"
    done
    PATH=$context/debian/usr/lib/go-$GO_SERIES/bin:$PATH
fi

CGO_ENABLED=0 GOBIN=$context go install -trimpath -ldflags='-s -w' "github.com/coredns/coredns@v$COREDNS_VERSION" >&2 ||
    die "Can't build CoreDNS $COREDNS_VERSION"
rm -rf "$context/debian"
"$context/coredns" -version >&2
