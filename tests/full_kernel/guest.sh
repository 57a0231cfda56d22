#!/bin/sh
# The first process of the machine that `run.sh` boots: the tests (without arguments: what this kernel can do, then those that take paths of their own on it), then off.

set -u
export PATH=/testbed/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 XDG_STATE_HOME=/var/tmp/state XDG_CACHE_HOME=/var/tmp/cache
cd /testbed || exit 1
for kind in proc:/proc sysfs:/sys tmpfs:/run tmpfs:/tmp; do
    mountpoint -q "${kind#*:}" || mount -t "${kind%%:*}" "${kind%%:*}" "${kind#*:}"
done
mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm
hostname full-kernel
ip link set dev lo up
modprobe tun
chmod 666 /dev/net/tun
sysctl -qw net.ipv4.neigh.default.gc_thresh3=65536

echo "full_kernel: $(uname -r), $(nproc) CPUs"
set --
while IFS= read -r argument; do set -- "$@" "$argument"; done <full-kernel-arguments
if [ -z "$*" ]; then
    COLUMNS=160 testbed doctor
    set -- tests/scenarios/test_vpn_connection.py tests/scenarios/test_vpn_transit_gateway.py tests/scenarios/test_direct_connect.py tests/scenarios/test_hybrid.py tests/scenarios/test_failover.py \
        tests/scenarios/test_failures.py tests/unit/engine
fi
python -m pytest --color=no --timeout=0 -p no:cacheprovider "$@"
echo "full_kernel: pytest ended with $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
