#!/bin/sh
# libvirtd's view of the machine: enter.sh OLD CACHE, in the old side's network namespace and a new mount namespace.
#
# What libvirtd writes outside its configuration lands in OLD/private and CACHE, what it would keep alive by having a
# copy of it (other network namespaces, BPF file systems) is not mounted here, and with no /sys/fs/cgroup it makes none.
set -e
old=$1 cache=$2
exec 8<"$old" 9<"$cache"
umount -R -l /run/netns 2>/dev/null || true
awk '$3 == "bpf" || $3 == "nsfs" { print $2 }' /proc/mounts | while read -r at; do umount -l "$at"; done
umount -R -l /sys
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var
ln -s /run /var/run
# where /run or /var was covered with them in it, OLD and the cache come back by their descriptors
[ -e "$old/libvirtd.conf" ] || { mkdir -p "$old"; mount -c --bind /proc/self/fd/8 "$old"; }
mkdir -p /run/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /var/tmp
mount -c --bind /proc/self/fd/9 /var/cache/libvirt
mount --bind "$old/private/etc" /etc/libvirt
mount --bind "$old/private/lib" /var/lib/libvirt
mount --bind "$old/private/log" /var/log/libvirt
mount --bind "$old/private/passwd" /etc/passwd
mount --bind "$old/private/group" /etc/group
exec 8<&- 9<&-
exec libvirtd -f "$old/libvirtd.conf" -p /run/libvirtd.pid
