#!/usr/bin/env bash
# Makes the files of a site that every tool of this image can fetch something from: a repository for git, registries for
# npm, pip and cargo, a module proxy for go. Needs no network.
#
#   site.sh FOLDER HOST

set -euo pipefail
folder=$1 host=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
said='hello from the fake internet'
echo "$said" >"$folder/hello.txt"
cd "$work"

# git, over its simple protocol: files and an index of them.
git -c init.defaultBranch=main init -q repo
echo "$said" >repo/README
git -C repo add README
git -C repo -c user.name=dev -c user.email=dev@$host commit -qm first
git clone -q --bare repo "$folder/repo.git"
git -C "$folder/repo.git" repack -qad
git -C "$folder/repo.git" update-server-info

# npm: metadata under the name with its slash escaped, as npm asks for it.
mkdir -p package "$folder/npm"
echo '{"name":"@dev/greeting","version":"1.0.0","main":"index.js"}' >package/package.json
echo "module.exports = '$said';" >package/index.js
tar -czf "$folder/npm/greeting-1.0.0.tgz" package
integrity=sha512-$(openssl dgst -sha512 -binary "$folder/npm/greeting-1.0.0.tgz" | base64 -w0)
cat >"$folder/@dev%2fgreeting" <<JSON
{"name":"@dev/greeting","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"@dev/greeting","version":"1.0.0",
"dist":{"tarball":"https://$host/npm/greeting-1.0.0.tgz","integrity":"$integrity"}}}}
JSON

# pip: a simple index and a wheel.
mkdir -p "$folder/simple/greeting"
python3 - "$folder/simple/greeting" "$said" <<'PYTHON'
import sys, zipfile
folder, said = sys.argv[1:]
info = "greeting-1.0.0.dist-info/"
with zipfile.ZipFile(f"{folder}/greeting-1.0.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("greeting.py", f"said = {said!r}\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: site\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "greeting.py,,\n")
with open(f"{folder}/index.html", "w") as index:
    index.write("<!DOCTYPE html><a href='greeting-1.0.0-py3-none-any.whl'>greeting-1.0.0-py3-none-any.whl</a>\n")
PYTHON

# go: a module proxy.
module=$host/greeting versions=$folder/go/$host/greeting/@v
mkdir -p "$versions" "$module@v1.0.0"
printf 'module %s\n\ngo 1.19\n' "$module" | tee "$module@v1.0.0/go.mod" >"$versions/v1.0.0.mod"
printf 'package greeting\n\nconst Said = "%s"\n' "$said" >"$module@v1.0.0/greeting.go"
echo '{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}' >"$versions/v1.0.0.info"
echo v1.0.0 >"$versions/list"
python3 - "$versions/v1.0.0.zip" "$module@v1.0.0" <<'PYTHON'
import sys, zipfile
archive, folder = sys.argv[1:]
with zipfile.ZipFile(archive, "w") as module:
    for name in ("go.mod", "greeting.go"):
        module.write(f"{folder}/{name}")
PYTHON

# cargo: a sparse index and a crate.
mkdir -p greeting-1.0.0/src "$folder/index/gr/ee" "$folder/crates/greeting/1.0.0"
printf '[package]\nname = "greeting"\nversion = "1.0.0"\nedition = "2021"\n' >greeting-1.0.0/Cargo.toml
echo "pub const SAID: &str = \"$said\";" >greeting-1.0.0/src/lib.rs
tar -czf "$folder/crates/greeting/1.0.0/download" greeting-1.0.0
sum=$(sha256sum "$folder/crates/greeting/1.0.0/download" | cut -d' ' -f1)
echo "{\"dl\":\"https://$host/crates\"}" >"$folder/index/config.json"
echo "{\"name\":\"greeting\",\"vers\":\"1.0.0\",\"deps\":[],\"cksum\":\"$sum\",\"features\":{},\"yanked\":false}" \
    >"$folder/index/gr/ee/greeting"

chmod -R a+rX "$folder"
