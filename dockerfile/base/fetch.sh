#!/usr/bin/env bash
# Makes rootfs.tar, Debian's smallest system, in the folder named: debootstrap from the machine's own mirror where the
# machine runs Debian, else from debootstrap's default. Every package is checked against Debian's keyring.

set -euo pipefail
context=$1
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../pins.sh"

die() { printf 'base: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "Building a Debian system needs root: run it with sudo, or let Docker pull $DEBIAN_REF"
command -v debootstrap >/dev/null || die "No debootstrap: apt-get install debootstrap"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || die "No $keyring: apt-get install debian-archive-keyring"

# The machine's mirror of one suite of this release, or nothing.
mirror_of() {
    command -v apt-get >/dev/null || return 0
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Component: main' |
        awk -v suite="$1" '$2 == suite { print $1; exit }'
}

rootfs=$(mktemp -d "$context/rootfs.XXXXXX")
trap 'rm -rf "$rootfs"' EXIT
chmod 755 "$rootfs"

mirror=$(mirror_of "$DEBIAN_SUITE")
debootstrap --variant=minbase --include=ca-certificates --keyring="$keyring" --force-check-gpg \
    "$DEBIAN_SUITE" "$rootfs" ${mirror:+"$mirror"} >"$context/debootstrap.log" ||
    { tail -n 20 "$context/debootstrap.log" >&2; die "debootstrap failed"; }

for suite in "$DEBIAN_SUITE-updates" "$DEBIAN_SUITE-security"; do
    mirror=$(mirror_of "$suite")
    [ -z "$mirror" ] || echo "deb $mirror $suite main" >>"$rootfs/etc/apt/sources.list"
done

# A package's own scripts must not start services in a container.
printf '#!/bin/sh\nexit 101\n' >"$rootfs/usr/sbin/policy-rc.d"
chmod 755 "$rootfs/usr/sbin/policy-rc.d"
find "$rootfs/usr/share/doc" -type f ! -name copyright -delete
find "$rootfs/usr/share/doc" -depth -type d -empty -delete
rm -rf "$rootfs"/usr/share/{man,info,locale}/* "$rootfs"/var/cache/apt/* "$rootfs"/var/lib/apt/lists/* \
    "$rootfs"/var/log/* "$rootfs"/etc/{hostname,resolv.conf,machine-id} "$rootfs"/dev/*
tar -C "$rootfs" --numeric-owner -cf "$context/rootfs.tar" .
