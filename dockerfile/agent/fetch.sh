#!/usr/bin/env bash
# Puts Claude Code and clawker-init into the folder named. Claude Code is one native file in npm's platform package,
# checked against pins.sh; clawker-init is the file that CLAWKER_INIT_BIN names.

set -euo pipefail
context=$1
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../pins.sh"

die() { printf 'agent: %s\n' "$*" >&2; exit 1; }
command -v npm >/dev/null || die "No npm: install Node.js"

case $(uname -m) in
    x86_64) arch=x64 sum=$CLAUDE_SHA512_x64 ;;
    aarch64) arch=arm64 sum=$CLAUDE_SHA512_arm64 ;;
    *) die "Claude Code has no package for $(uname -m)" ;;
esac

cd "$context"
archive=$(npm pack --silent "@anthropic-ai/claude-code-linux-$arch@$CLAUDE_VERSION") ||
    die "Can't fetch Claude Code $CLAUDE_VERSION"
echo "$sum  $archive" | sha512sum --check --quiet >&2 || die "$archive is not the file that pins.sh names"
tar -xzf "$archive" package/claude
mv package/claude claude
chmod 755 claude
rm -rf package "$archive"
