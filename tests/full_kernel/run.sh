#!/bin/sh
# The kernel paths that small machines lack, tried on a distribution's stock kernel: ESP with XFRM interfaces, 802.1Q devices, netem.
#
#   sudo sh tests/full_kernel/run.sh                    the tests named in `guest.sh`
#   sudo sh tests/full_kernel/run.sh tests/scenarios/test_hybrid.py -k failover
#
# A Debian is bootstrapped into a temporary folder, this checkout is set up in it by `testbed/setup.sh` as on any fresh machine, and QEMU boots it with Debian's
# own kernel, without a network. In it pytest runs with the given arguments. The exit code is pytest's; what was printed on the console is all that stays.
# No part of the gate: under software emulation everything takes about twenty times as long.
#
#   FULL_KERNEL_DISK=F        keep the disk in the file F, and next time begin from it (the checkout is always the present one)
#   FULL_KERNEL_RELEASE=R     Debian's release (bookworm)
#   FULL_KERNEL_QEMU=OPTIONS  QEMU's processor and accelerator ('-accel kvm -cpu host -smp 2' where that works; software emulation runs everywhere)
#   FULL_KERNEL_LIMIT_S=N     end the machine after so many seconds (7200)
#
# Needs root (debootstrap makes device files) and the apt packages debootstrap, e2fsprogs, git and qemu-system-x86; 3 GiB in TMPDIR (/var/tmp).

set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin
HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
ROOT=${HERE%/tests/full_kernel}
RELEASE=${FULL_KERNEL_RELEASE:-bookworm}
MIRROR=http://deb.debian.org/debian
DISK_GIB=6
GUEST_MIB=3072
# The guest's clock goes by what it has computed, a nanosecond an instruction: however slow or busy this machine is, to the guest it is one that computes in time.
BY_INSTRUCTIONS='-accel tcg,thread=single -icount shift=0 -rtc clock=vm -cpu max -smp 1'

die() {
    printf 'full_kernel: %s\n' "$*" >&2
    exit 3
}

say() {
    printf 'full_kernel: %s\n' "$*"
}

# What this machine's apt and certificates say of the network holds in the new system, too.
carry_network_settings() {  # root file system
    apt-config dump --format '%F "%v";%n' Acquire | grep -E '^Acquire::(Check-|http|https|Retries)' >"$1/etc/apt/apt.conf.d/90host" || true
    cp -L /etc/resolv.conf "$1/etc/resolv.conf"
    unset TMPDIR
    if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
        cp /usr/local/share/ca-certificates/*.crt "$1/usr/local/share/ca-certificates/"
        chroot "$1" update-ca-certificates >/dev/null
    fi
}

copy_checkout() {  # tar file
    git -C "$ROOT" ls-files -z --cached --others --exclude-standard >"$FOLDER/files"
    tar -C "$ROOT" --null --files-from="$FOLDER/files" --ignore-failed-read -cf "$1"
}

make_disk() {  # file
    system=$FOLDER/system
    say "bootstrapping Debian $RELEASE"
    debootstrap --variant=minbase --include=linux-image-amd64,iproute2,kmod,python3,ca-certificates "$RELEASE" "$system" "$MIRROR" >"$FOLDER/log" 2>&1 || { tail -5 "$FOLDER/log" >&2; die "debootstrap failed: see whether $MIRROR can be reached"; }
    carry_network_settings "$system"
    mkdir -p "$system/testbed"
    tar -C "$system/testbed" -xf "$FOLDER/checkout.tar"
    mount -t proc proc "$system/proc"
    mount --rbind /dev "$system/dev"
    chroot "$system" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DEFAULT_TIMEOUT=180 \
        ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} ${PIP_INDEX_URL:+"PIP_INDEX_URL=$PIP_INDEX_URL"} sh /testbed/testbed/setup.sh install
    chroot "$system" /testbed/.venv/bin/python -m compileall -q /testbed/testbed /testbed/services /testbed/topologies /testbed/tests
    umount -l "$system/dev" "$system/proc"
    printf '#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\ntar -C /testbed -xf /dev/vdb\nexec sh /testbed/tests/full_kernel/guest.sh\n' >"$system/sbin/full-kernel"
    chmod 755 "$system/sbin/full-kernel"
    rm -rf "$system"/var/cache/apt/archives/*.deb "$system"/var/lib/apt/lists/*
    say 'writing its disk'
    mke2fs -q -t ext4 -d "$system" "$1" "${DISK_GIB}G"
    rm -rf "$system"
}

boot() {
    # the kernel lies on the disk: taken from there, so that a kept disk is all there is to keep
    for file in vmlinuz initrd.img; do
        name=$(debugfs -R 'ls -p /boot' "$DISK" 2>/dev/null | tr / '\n' | grep -E "^$file-" | sort | tail -1)
        debugfs -R "dump /boot/$name $FOLDER/$file" "$DISK" 2>/dev/null
    done
    say 'booting'
    # what the tests write goes to a snapshot, which goes with QEMU
    # shellcheck disable=SC2086  # options
    timeout "${FULL_KERNEL_LIMIT_S:-7200}" qemu-system-x86_64 ${FULL_KERNEL_QEMU:-$BY_INSTRUCTIONS} -m "$GUEST_MIB" -nographic -no-reboot -nic none \
        -kernel "$FOLDER/vmlinuz" -initrd "$FOLDER/initrd.img" \
        -drive "file=$DISK,if=virtio,format=raw,snapshot=on" -drive "file=$FOLDER/checkout.tar,if=virtio,format=raw,readonly=on" \
        -append "console=ttyS0 root=/dev/vda rw quiet panic=-1 mitigations=off init=/sbin/full-kernel" \
        </dev/null 2>&1 | sed -u 's/\r$//' | tee "$FOLDER/console"
}

if [ "${1:-}" = --in-namespace ]; then
    shift
else
    [ "$(id -u)" = 0 ] || die 'run as root: debootstrap makes device files'
    missing=
    for pair in debootstrap:debootstrap mke2fs:e2fsprogs debugfs:e2fsprogs git:git qemu-system-x86_64:qemu-system-x86; do
        command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
    done
    [ -z "$missing" ] || die "install with apt:$missing"
    FOLDER=$(mktemp -d "${TMPDIR:-/var/tmp}/testbed-full-kernel.XXXXXX")
    export FOLDER
    trap 'rm -rf "$FOLDER"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # mounts and processes end with these namespaces
    unshare --mount --pid --fork --kill-child --mount-proc sh "$0" --in-namespace "$@"
    exit
fi

copy_checkout "$FOLDER/checkout.tar"
printf '%s\n' "$@" >"$FOLDER/full-kernel-arguments"
tar -C "$FOLDER" -rf "$FOLDER/checkout.tar" full-kernel-arguments
DISK=${FULL_KERNEL_DISK:-$FOLDER/disk}
[ -e "$DISK" ] || { make_disk "$FOLDER/disk.new"; mv "$FOLDER/disk.new" "$DISK"; }
boot
outcome=$(sed -n 's/^full_kernel: pytest ended with //p' "$FOLDER/console" | tail -1)
[ -n "$outcome" ] || die 'the machine ended before its tests did: see the console above'
exit "$outcome"
