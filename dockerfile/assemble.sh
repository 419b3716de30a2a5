#!/usr/bin/env bash
# Sees to it that clawker's images are there, and says under which reference. Needs nothing but this folder.
#
#   assemble.sh [IMAGE...]          IMAGE: base, envoy, coredns, agent; none named: all of them
#   assemble.sh --refs [IMAGE...]   only print the references, whether or not the images are there
#
# On stdout one line an image: IMAGE, a tab, its reference. Progress goes to stderr. An image is looked for under its
# reference, which holds a hash of all that it is made of; then pulled, where a registry answers; then assembled from
# packages. The result also gets the tag clawker-IMAGE:latest, for people.
#
#   CLAWKER_IMAGES=pull|assemble    only that source
#   CLAWKER_INIT_BIN=FILE           the clawker-init that the agent image holds (needed for that image only)
#   CLAWKER_CACHE=FOLDER            where downloads are kept; default $XDG_CACHE_HOME/clawker or ~/.cache/clawker

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/pins.sh"
cache=${CLAWKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clawker}
machine=$(uname -m)

say() { printf '%s\n' "$*" >&2; }
die() { say "assemble: $*"; exit 1; }

digest() { sha256sum | cut -c1-12; }

# The pins of one image, as text.
pins() {
    case $1 in
        base) grep ^DEBIAN_ "$here/pins.sh" ;;
        envoy) grep ^ENVOY_ "$here/pins.sh" ;;
        coredns) grep ^COREDNS_ "$here/pins.sh" ;;
        agent) grep ^CLAUDE_ "$here/pins.sh" ;;
    esac
}

# A hash of what an image's fetch.sh depends on.
parts_hash() {
    { echo "$machine"; pins "$1"; cat "$here/$1/fetch.sh" $([ "$1" != envoy ] || echo "$here/envoy/requirements.txt"); } | digest
}

# A hash of all that an image is made of.
image_hash() {
    {
        echo "$machine"
        pins "$1"
        cd "$here/$1"
        sha256sum -- *
        case $1 in envoy | agent) ref base ;; esac
        [ "$1" != agent ] || sha256sum <"$CLAWKER_INIT_BIN"
    } | digest
}

# The reference of an image.
ref() {
    case $1 in
        envoy) echo "clawker-envoy:$ENVOY_VERSION-$(image_hash envoy)" ;;
        coredns) echo "clawker-coredns:$COREDNS_VERSION-$(image_hash coredns)" ;;
        *) echo "clawker-$1:$(image_hash "$1")" ;;
    esac
}

# Where an image is published, or nothing.
published() {
    case $1 in
        base) echo "$DEBIAN_REF" ;;
        envoy) echo "$ENVOY_REF" ;;
        coredns) echo "$COREDNS_REF" ;;
    esac
}

present() { docker image inspect "$1" >/dev/null 2>&1; }

# Asks a registry once, with a short limit, and remembers a no for a day: a machine that has none asks no more.
registry_answers() {
    local no=$cache/no-registry
    case ${CLAWKER_IMAGES-} in
        pull) return 0 ;;
        assemble) return 1 ;;
    esac
    [ -z "$(find "$no" -mmin -1440 2>/dev/null)" ] || return 1
    say "Asking for an image registry, 5 s at most"
    if DOCKER_CLI_EXPERIMENTAL=enabled timeout 5 docker manifest inspect "$DEBIAN_REF" >/dev/null 2>&1; then
        rm -f "$no"
        return 0
    fi
    say "No image registry answers: assembling from packages"
    touch "$no"
    return 1
}

pull() {
    local image=$1 reference=$2 from
    from=$(published "$image")
    [ -n "$from" ] && registry_answers || return 1
    say "$image: pulling $from"
    if docker pull --quiet "$from" >/dev/null; then
        docker tag "$from" "$reference"
    else
        [ "${CLAWKER_IMAGES-}" != pull ] || die "Can't pull $from; CLAWKER_IMAGES=assemble makes it from packages"
        return 1
    fi
}

# Prints the folder with what an image's Dockerfile copies, fetched or from the cache.
fetch() {
    local image=$1 parts
    parts=$cache/parts/$image-$(parts_hash "$image")
    if [ ! -d "$parts" ]; then
        say "$image: fetching"
        rm -rf "$cache/parts/$image"-*
        mkdir -p "$parts.part"
        bash "$here/$image/fetch.sh" "$parts.part" >&2 || die "$image: could not be fetched"
        mv "$parts.part" "$parts"
    fi
    echo "$parts"
}

assemble() {
    local image=$1 reference=$2 parts context arguments name
    parts=$(fetch "$image")
    context=$(mktemp -d "$cache/context.XXXXXX")
    cp -l "$parts"/* "$context" 2>/dev/null || cp "$parts"/* "$context"
    cp "$here/$image"/* "$context"
    rm -f "$context/fetch.sh"
    [ "$image" != agent ] || install -m 755 "$CLAWKER_INIT_BIN" "$context/clawker-init"

    # The way out of this machine is not part of an image: Docker forgets these when the build ends.
    arguments=()
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [ -z "${!name-}" ] || arguments+=(--build-arg "$name")
    done
    case $image in envoy | agent) arguments+=(--build-arg "BASE=$(ref base)") ;; esac

    say "$image: building $reference"
    if ! docker build --force-rm --label "clawker.image=$image" -t "$reference" \
        ${arguments[@]+"${arguments[@]}"} "$context" >"$context.log" 2>&1; then
        tail -n 30 "$context.log" >&2
        rm -rf "$context"
        die "$image: docker build failed; all of it: $context.log"
    fi
    rm -rf "$context" "$context.log"
}

ensure() {
    local image=$1 reference
    reference=$(ref "$image")
    if present "$reference"; then return; fi
    if pull "$image" "$reference"; then
        say "$image: pulled"
    else
        case $image in envoy | agent) ensure base ;; esac
        assemble "$image" "$reference"
        say "$image: assembled from packages"
    fi
    docker tag "$reference" "clawker-$image:latest"
}

only_refs=false images=()
for word in "$@"; do
    case $word in
        --refs) only_refs=true ;;
        -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$here/assemble.sh"; exit ;;
        base | envoy | coredns | agent) images+=("$word") ;;
        *) say "assemble: Unknown image $word: name base, envoy, coredns or agent"; exit 2 ;;
    esac
done
[ ${#images[@]} -gt 0 ] || images=(base envoy coredns agent)
case ${CLAWKER_IMAGES-} in '' | pull | assemble) ;; *) die "CLAWKER_IMAGES is pull or assemble, not $CLAWKER_IMAGES" ;; esac

lines=() missing=()
for image in "${images[@]}"; do
    if [ "$image" = agent ] && [ ! -r "${CLAWKER_INIT_BIN-}" ]; then
        die "The agent image needs clawker-init: set CLAWKER_INIT_BIN to its file"
    fi
    reference=$(ref "$image")
    lines+=("$image	$reference")
    $only_refs || present "$reference" || missing+=("$image")
done

if [ ${#missing[@]} -gt 0 ]; then
    command -v docker >/dev/null || die "No docker command: install Docker"
    docker version >/dev/null 2>&1 || die "Docker does not answer: start it, or check DOCKER_HOST"
    mkdir -p "$cache/parts"
    exec 9>"$cache/lock"
    if command -v flock >/dev/null && ! flock -n 9; then
        say "Waiting for another assembly to end"
        flock 9
    fi
    # What an assembly that was interrupted left behind.
    ! command -v flock >/dev/null || rm -rf "$cache"/context.*
    # CoreDNS takes longest and stands on nothing: let it build beside the others.
    beside=
    for image in "${missing[@]}"; do
        if [ "$image" = coredns ] && [ ${#missing[@]} -gt 1 ]; then
            registry_answers || true
            ensure coredns & beside=$!
        fi
    done
    for image in "${missing[@]}"; do
        [ -n "$beside" ] && [ "$image" = coredns ] || ensure "$image"
    done
    [ -z "$beside" ] || wait "$beside" || die "coredns: could not be made"
fi
printf '%s\n' "${lines[@]}"
