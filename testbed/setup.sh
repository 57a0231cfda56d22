#!/bin/sh
# Sets the testbed up on a fresh Debian 12 or 13, or Ubuntu 24.04, then runs it. Needs a shell, apt and python3; root, or sudo for apt.
#
#   sh testbed/setup.sh install           set up, and nothing else
#   sh testbed/setup.sh demo [OPTION…]    … then the main job: `testbed demo`
#   sh testbed/setup.sh test [OPTION…]    … then the tests: ruff, mypy and pytest; with options, pytest alone with these
#   sh testbed/setup.sh bench [OPTION…]   … and the benchmarks' peers (HAProxy), then `testbed bench`
#
# What it changes: missing apt packages are installed (no service is started, no PostgreSQL cluster is made), `.venv` appears in the
# checkout, where Ubuntu restricts user namespaces an AppArmor profile allows them to the programs of this .venv, and where no udev has
# done it (small machines), /dev/net/tun is opened to all users: links with a delay may need it, and its use still takes a sandbox's rights.
# What is there already is left alone, so a second run costs milliseconds. PYTHON names another interpreter; PIP_* and *_proxy are respected.
# A failure is one line on stderr: what, and the remedy.

set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
VENV=$ROOT/.venv
STAMP=$VENV/.testbed-setup
VENV_NEEDS_MIB=500
PACKAGES_NEED_MIB=600
LOG=
TEMPORARY=

# program:package. testbed/engine/preflight.py names the same ones; a test compares them.
PROGRAMS='ip:iproute2 nft:nftables bird:bird2 charon-systemd:charon-systemd swanctl:strongswan-swanctl dig:bind9-dnsutils curl:curl tcpdump:tcpdump ping:iputils-ping ps:procps conntrack:conntrack
          dot:graphviz iperf3:iperf3 traceroute:traceroute psql:postgresql-client postgres:postgresql'
# These go without saying where they cannot be had: `testbed doctor` tells what is missed. Debian 12 has Suricata in its backports alone.
WHERE_OFFERED='suricata:suricata'
BACKPORTS_FOR=bookworm

die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

say() {
    printf 'setup: %s\n' "$*"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Which of the packages are missing, told by their programs: however those came here, they will do.
missing_packages() {
    for pair in $PROGRAMS; do
        has_program "${pair%%:*}" || printf '%s ' "${pair#*:}"
    done
    [ -e /etc/ssl/certs/ca-certificates.crt ] || printf 'ca-certificates '
    if [ "$1" = bench ]; then
        has_program haproxy || printf 'haproxy '
    fi
}

has_program() {
    command -v "$1" >/dev/null || { [ "$1" = postgres ] && ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; }
}

# What the .venv was made from: another checkout, release or dependency makes it anew.
fingerprint() {
    { cat "$ROOT/setup.cfg" "$ROOT/pyproject.toml" "$ROOT/testbed/setup.sh" /etc/os-release; printf '%s' "$ROOT"; } 2>/dev/null | sha256sum
}

# The distribution's own Python comes first: every user of the machine can run it.
find_python() {
    for candidate in ${PYTHON:-/usr/bin/python3 python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    found=$("${PYTHON:-python3}" -V 2>/dev/null) || found='none that runs'
    die "Python 3.11 or newer is needed and this machine has ${found#Python }: use Debian 12 or 13 or Ubuntu 24.04, or name an interpreter with PYTHON=/path/to/python3"
}

user_namespaces_are_restricted() {
    [ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)" = 1 ]
}

need_space() {  # directory, MiB
    free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free" -ge "$2" ] || die "only $free MiB are free in $1 and $2 are needed: make room there, then run this again"
}

# What, and the remedy if the log tells no better one.
give_up() {
    remedy=$2
    if grep -Eqi 'no space left|disk quota exceeded' "$LOG"; then
        remedy='the disk is full: make room, then run this again'
    elif grep -Eqi 'certificate.verif' "$LOG"; then
        remedy='a TLS certificate was not accepted: add your CA to the system (update-ca-certificates) or name its bundle in PIP_CERT'
    elif grep -Eqi "could not resolve|temporary failure|network is unreachable|no route to host|connection (timed out|refused)|name or service not known|failed to establish a new connection|proxyerror" "$LOG"; then
        remedy='the network cannot be reached: connect this machine, or set http_proxy and https_proxy (and PIP_INDEX_URL for a mirror), then run this again'
    elif grep -Eqi 'could not get lock' "$LOG"; then
        remedy='another apt is at work: wait until it is done, then run this again'
    elif grep -Eqi 'unable to locate package|no installation candidate' "$LOG"; then
        remedy="apt does not know a package: enable the distribution's main and universe repositories, then run this again"
    fi
    die "$1: $remedy (log: $LOG)"
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8 ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
        apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" >>"$LOG" 2>&1
}

clean_up() {
    # shellcheck disable=SC2086  # a list of paths of ours, without blanks
    [ -z "$TEMPORARY" ] || as_root rm -f $TEMPORARY
    if [ -n "$LOG" ] && { [ "$1" = 0 ] || [ ! -s "$LOG" ]; }; then rm -f "$LOG"; fi
}

# Until the script ends. What exists is left alone.
put_for_now() {  # path, mode, content
    if [ -e "$1" ]; then return; fi
    as_root mkdir -p "${1%/*}"
    TEMPORARY="$TEMPORARY $1"
    printf '%s\n' "$3" | as_root tee "$1" >/dev/null
    as_root chmod "$2" "$1"
}

install_packages() {  # packages…
    command -v apt-get >/dev/null || die "these are missing and there is no apt here to install them: $*; use Debian or Ubuntu, or install them with your own package manager"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "apt packages are missing ($*) and there is no sudo: run \`sh testbed/setup.sh install\` once as root"
        sudo -n true 2>/dev/null || [ -t 0 ] || die "apt packages are missing ($*) and sudo wants a password: run \`sudo sh testbed/setup.sh install\` once"
        sudo -v || die "apt packages are missing ($*) and sudo refused: let an administrator run \`sh testbed/setup.sh install\` once"
    fi
    need_space /usr "$PACKAGES_NEED_MIB"
    # charon's ESP in userspace and its fast ciphers are plug-ins, in packages that have no program
    case " $* " in *' charon-systemd '*) set -- "$@" libcharon-extra-plugins libstrongswan-standard-plugins ;; esac
    say "installing apt packages: $*"
    put_for_now /etc/postgresql-common/createcluster.d/testbed.conf 644 'create_main_cluster = false'
    put_for_now /usr/sbin/policy-rc.d 755 "$(printf '#!/bin/sh\nexit 101')"
    apt update || true  # one broken source of many must not stop us: the next step tells
    apt install --no-install-recommends "$@" || give_up "apt could not install $*" 'see the log, and try apt-get by hand'
    case " $* " in *' charon-systemd '*) if [ -d /run/systemd/system ]; then as_root systemctl disable strongswan >>"$LOG" 2>&1; fi ;; esac
    case " $* " in *' bird2 '*) if [ -d /run/systemd/system ]; then as_root systemctl disable bird >>"$LOG" 2>&1; fi ;; esac
    case " $* " in *' haproxy '*) if [ -d /run/systemd/system ]; then as_root systemctl disable haproxy >>"$LOG" 2>&1; fi ;; esac
}

install_where_offered() {  # package
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        say "note: installing $1 takes root: run \`sudo sh testbed/setup.sh install\` once; until then, what needs it stays out"
        return
    fi
    say "installing the apt package $1"
    put_for_now /usr/sbin/policy-rc.d 755 "$(printf '#!/bin/sh\nexit 101')"
    if ! apt install --no-install-recommends "$1" && ! install_from_backports "$1"; then
        say "note: this machine's apt does not offer $1; what needs it stays out, and \`testbed doctor\` tells"
        return
    fi
    if [ -d /run/systemd/system ]; then as_root systemctl disable "$1" >>"$LOG" 2>&1 || true; fi
}

# With a list of sources and an index of its own, so that no source stays behind and nothing else comes from there.
install_from_backports() {  # package
    [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = "$BACKPORTS_FOR" ] || return 1
    site=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk -v release="$BACKPORTS_FOR" '$2 == release { print $1; exit }')
    [ -n "$site" ] || return 1
    index=$(mktemp -d "${TMPDIR:-/tmp}/testbed-backports.XXXXXX") || return 1
    chmod 755 "$index"
    for suite in "$BACKPORTS_FOR" "$BACKPORTS_FOR-backports"; do
        printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$site" "$suite"
    done >"$index/sources.list"
    package=$1
    set -- -o "Dir::Etc::sourcelist=$index/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$index/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    outcome=1
    mkdir -p "$index/lists/partial"
    if apt "$@" update && apt "$@" install --no-install-recommends -t "$BACKPORTS_FOR-backports" "$package"; then outcome=0; fi
    as_root rm -rf "$index"
    return "$outcome"
}

make_venv() {  # interpreter
    [ -w "$ROOT" ] || die "$(id -un) may not write in $ROOT: let its owner run \`sh testbed/setup.sh install\`, or work in a checkout of your own"
    need_space "$ROOT" "$VENV_NEEDS_MIB"
    copies=
    if user_namespaces_are_restricted; then copies=--copies; fi  # AppArmor goes by the program's real path
    rm -rf "$VENV" 2>>"$LOG" || die "$(id -un) may not replace $VENV: remove it (sudo rm -r $VENV), then run this again"
    # shellcheck disable=SC2086  # one option or none
    "$1" -m venv $copies "$VENV" >>"$LOG" 2>&1 || give_up "python could not make $VENV" 'see the log'
}

venv_works() {
    "$VENV/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || return 1
    grep -qF "$VENV/bin/" "$VENV/bin/pip" 2>/dev/null || return 1  # its programs would name the place from which it was moved
    ! user_namespaces_are_restricted || [ ! -L "$VENV/bin/python3" ]
}

install_project() {  # interpreter, or empty where the .venv is good
    [ -z "$1" ] || make_venv "$1"
    [ -w "$VENV" ] || die "$(id -un) may not write in $VENV: let its owner run \`sh testbed/setup.sh install\`, or remove it (sudo rm -r $VENV)"
    say 'installing Python packages into .venv'
    rm -f "$STAMP"
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore "$VENV/bin/python" -m pip install -q --no-input -e "${ROOT}[test]" >>"$LOG" 2>&1 ||
        give_up 'pip could not install the Python packages' 'see the log'
}

allow_user_namespaces() {
    case $ROOT in *[!A-Za-z0-9/._+@-]*) die "AppArmor cannot name the path $ROOT: move the checkout to a path of plain letters and digits" ;; esac
    name=testbed-$(printf '%s' "$ROOT" | sha256sum | cut -c1-8)
    say "installing the AppArmor profile $name (user namespaces for $VENV/bin)"
    as_root tee "/etc/apparmor.d/$name" >/dev/null <<PROFILE
# The sandbox of the testbed in $ROOT is a user namespace. Written by its testbed/setup.sh; remove it with the checkout.
abi <abi/4.0>,
include <tunables/global>

profile $name $VENV/bin/** flags=(unconfined) {
  userns,
}
PROFILE
    as_root apparmor_parser -r "/etc/apparmor.d/$name" >>"$LOG" 2>&1 ||
        give_up "AppArmor did not take /etc/apparmor.d/$name" 'run the lab as root, or allow user namespaces with: sysctl kernel.apparmor_restrict_unprivileged_userns=0'
}

open_tun_device() {
    if [ -c /dev/net/tun ] && [ "$(stat -c %a /dev/net/tun)" != 666 ] && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
        as_root chmod 666 /dev/net/tun || say 'note: /dev/net/tun stays closed to other users; testbed doctor tells whether that matters'
    fi
}

# What root made in somebody's checkout belongs to that somebody.
hand_over() {
    owner=$(stat -c %u:%g "$ROOT")
    if [ "$(id -u)" = 0 ] && [ "$owner" != 0:0 ]; then
        chown -R "$owner" "$VENV" "$ROOT"/*.egg-info
    fi
}

is_ready() {  # verb
    missing=$(missing_packages "$1")
    [ -z "$missing" ] && is_installed
}

is_installed() {
    [ -x "$VENV/bin/python" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$mark" ]
}

set_up() {  # verb
    mark=$(fingerprint)
    if is_ready "$1"; then return; fi

    LOG=$(mktemp "${TMPDIR:-/tmp}/testbed-setup.XXXXXX") || die "no temporary file can be made in ${TMPDIR:-/tmp}: make room there, or point TMPDIR elsewhere"
    trap 'clean_up $?' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    exec 9<"$ROOT/testbed/setup.sh"
    flock -w 1800 9 || die 'another set-up of this checkout has been at work for half an hour: end it, then run this again'
    if is_ready "$1"; then return; fi
    interpreter=
    if ! venv_works; then
        interpreter=$(find_python)
        if ! "$interpreter" -c 'import ensurepip, venv' 2>/dev/null; then
            [ "$interpreter" = /usr/bin/python3 ] || die "$interpreter has no venv module: install it, or name another interpreter with PYTHON=/path/to/python3"
            missing="$missing python3-venv"
        fi
    fi
    # shellcheck disable=SC2086  # a list of package names
    [ -z "$missing" ] || install_packages $missing
    for pair in $WHERE_OFFERED; do
        has_program "${pair%%:*}" || ! command -v apt-get >/dev/null || install_where_offered "${pair#*:}"
    done
    missing=$(missing_packages "$1")
    [ -z "$missing" ] || die "apt says that all is installed, but programs are missing: repair with \`apt-get install --reinstall ${missing% }\`, then run this again"
    if [ -z "$interpreter" ] && is_installed; then return; fi
    install_project "$interpreter"
    if user_namespaces_are_restricted; then allow_user_namespaces; fi
    printf '%s\n' "$mark" >"$STAMP" || die "$(id -un) may not write in $VENV: remove it (sudo rm -r $VENV), then run this again"
    hand_over
    say "ready: $VENV/bin/testbed"
}

verb=${1:-}
[ $# = 0 ] || shift
case $verb in
    install | demo | test | bench)
        set_up "$verb"
        open_tun_device
        ;;
    *)
        echo 'usage: sh testbed/setup.sh install|demo|test|bench [OPTION…]' >&2
        exit 2
        ;;
esac

exec 9<&-
clean_up 0
trap - EXIT INT TERM
case $verb in
    install) ;;
    test)
        cd "$ROOT"
        if [ $# = 0 ]; then
            "$VENV/bin/python" -m ruff check
            "$VENV/bin/python" -m mypy
            set -- -n auto --dist loadfile  # a file's tests share labs
        fi
        exec "$VENV/bin/python" -m pytest "$@"
        ;;
    *) exec "$VENV/bin/testbed" "$verb" "$@" ;;
esac
