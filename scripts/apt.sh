# Installs Debian packages, each only if it is missing, and never starts a service. Sourced, never run.

# Prints those of the packages named that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
            ii*) ;;
            *) echo "$package" ;;
        esac
    done
}

install_packages() {
    local missing policy=/usr/sbin/policy-rc.d code=0
    command -v dpkg-query >/dev/null || die "No dpkg: this needs Debian or a relative; install yourself: $*"
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || die "Not root, and these packages are missing: run sudo apt-get install $missing"
    say "Installing $missing"

    # A package that starts its service would fail the installation where there is no init system.
    if [ -e "$policy" ]; then
        policy=
    else
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    # Lists of yesterday may name files that the mirror has no more: a failure asks for new ones, once.
    apt_install $missing 2>/dev/null || { apt-get -qq update >&2 && apt_install $missing; } || code=1
    [ -z "$policy" ] || rm -f "$policy"
    [ $code = 0 ] || die "apt-get could not install $missing"
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -y --no-install-recommends install "$@" >/dev/null
}
