#!/usr/bin/env bash
# Unpacks one Debian package into a folder without installing it and without a change to the machine's apt: the state
# is private, the mirror is the machine's own, only the suite may be another one.
#
#   unpack-deb.sh --list SUITE PACKAGE          the versions that the suite holds, newest first
#   unpack-deb.sh SUITE PACKAGE VERSION FOLDER  unpack that one

set -euo pipefail

die() { printf 'unpack-deb: %s\n' "$*" >&2; exit 1; }

command -v apt-get >/dev/null || die "No apt-get: this needs Debian or a relative"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || die "No $keyring: install debian-archive-keyring"

list=false
if [ "${1-}" = --list ]; then list=true; shift; fi
[ $# -ge 2 ] || die "Usage: unpack-deb.sh [--list] SUITE PACKAGE [VERSION FOLDER]"
suite=$1 package=$2

# The main archive among the machine's own sources, in whichever format they are written.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(RELEASE)' 'Created-By: Packages' 'Component: main' |
    awk '$NF !~ /security/ { print $1; exit }')
[ -n "$mirror" ] || die "No Debian mirror in the apt sources: add one"

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$state/archives/partial"
chmod 755 "$state"
echo "deb [signed-by=$keyring] $mirror $suite main" >"$state/sources.list"

options=(-q -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State=$state" -o Dir::State::status=/dev/null -o "Dir::Cache=$state"
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null -o APT::Sandbox::User=root)

apt-get "${options[@]}" update >&2 || die "Can't read the package list of $suite"
if $list; then
    apt-cache "${options[@]}" madison "$package" | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | awk '!seen[$0]++'
    exit
fi

version=$3 folder=$4
(cd "$state" && apt-get "${options[@]}" download "$package=$version" >&2) || die "Can't fetch $package $version"
mkdir -p "$folder"
dpkg -x "$state"/*.deb "$folder"
