#!/bin/busybox sh
# The tier's init: the host's root read-only over 9p, a tmpfs over it, then one command (/command) chrooted into it.
# Whatever the command writes is gone with the machine. Lines beginning with @tier are for boot/machine.py.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
stage() { echo "@tier $1 $(cut -d' ' -f1 /proc/uptime)"; }
finish() { echo "@tier $1"; poweroff -f; }
for module in $(cat /m/order); do
    insmod /m/$module || finish "broken insmod $module"
done
stage kernel
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=1048576 host /r || finish "broken mount of the host root"
mount -t tmpfs ov /ov
mkdir /ov/upper /ov/work
mount -t overlay -o lowerdir=/r,upperdir=/ov/upper,workdir=/ov/work overlay /n || finish "broken overlay"
for place in proc sys dev; do mount -o rbind /$place /n/$place; done
mount -t tmpfs run /n/run
mkdir -p /n/run/netns /n/dev/shm
mount -t tmpfs shm /n/dev/shm
mount -t bpf bpf /n/sys/fs/bpf
ip link set lo up
stage root
cp /command /n/run/command
PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root chroot /n /bin/sh /run/command
finish "exit $?"
