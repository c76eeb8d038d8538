#!/bin/busybox sh
# A lab guest's init. It loads virtio, then serves one line protocol on its serial port for ever:
#   CONF <ip> <prefix> <mac> <gateway|-> <peer,peer|-> <seconds>   -> OKGOT <ip>     (repeated: answered, not redone)
#   RUN <id> <seconds> <base64 of a shell command>                 -> OUT <id> <rc> <base64 of stdout and stderr>
#   HELLO                                                          -> HERE
# A first virtio disk whose block 0 begins with CONF configures it at boot in the same words; `-` for the MAC leaves
# the NIC's own. Such a guest counts its boots in block 1 (BOOTS <n>), announces its address, ends when its ACPI power
# button is pressed, and answers the hypervisor's guest agent channel when there is one: as a server does.
# A RUN with the id of the last one repeats its answer without running anything. Everything else is ignored.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
ifconfig lo 127.0.0.1 up
for module in $(cat /m/order); do insmod /m/$module.ko; done

serve() {
    nc -ll -p 7 -e /bin/cat &
    httpd -p 80 -h /www
}

# Some guests talk to each other: a ping for a bare address, a TCP connection for address:port.
# /run/quiet silences it (tests that compare counters need that).
talk() {
    while :; do
        for peer in $(echo $1 | tr , ' '); do
            [ -e /run/quiet ] && continue
            case $peer in
                *:80) wget -q -T 2 -O /dev/null http://${peer%:*}/ ;;
                *:*) echo hello | nc -w 2 ${peer%:*} ${peer#*:} >/dev/null ;;
                *) ping -c 1 -W 1 -q $peer >/dev/null ;;
            esac
        done
        sleep $2
    done
}

configure() {
    [ "$3" = - ] || ifconfig eth0 hw ether $3 || return
    ifconfig eth0 $1 netmask $(ipcalc -m $1/$2 | cut -d= -f2) up || return
    [ "$4" = - ] || route add default gw $4 || return
    serve
    [ "$5" = - ] || talk $5 $6 >/dev/null 2>&1 &
    return 0
}

block() {
    dd if=/dev/vda bs=512 skip=$1 count=1 2>/dev/null | head -n 1
}

count_boot() {
    set -- $(block 1)
    echo BOOTS $((${2:-0} + 1)) | dd of=/dev/vda bs=512 seek=1 count=1 conv=sync,notrunc,fsync 2>/dev/null
}

heed_power_button() {
    name=$(grep -l Power /sys/class/input/event*/device/name) || return
    number=${name#*/event}
    mknod /dev/button c 13 $((64 + ${number%%/*}))
    dd if=/dev/button bs=24 count=1 >/dev/null 2>&1
    poweroff -f
}

start_agent() {
    name=$(grep -l org.qemu.guest_agent.0 /sys/class/virtio-ports/*/name) || return
    mknod /dev/agent c $(tr : ' ' <${name%/name}/dev)
    sh /bin/agent /dev/agent
}

boot_from_disk() {
    insmod /m/virtio_blk.ko
    [ -e /sys/class/net/eth0 ] || insmod /m/vmxnet3.ko
    [ -e /sys/block/vda/dev ] || return
    mknod /dev/vda b $(tr : ' ' </sys/block/vda/dev)
    set -- $(block 0)
    [ "$1 $#" = "CONF 7" ] || return
    shift
    configure "$@" || return
    arping -A -q -c 3 -I eth0 $1 &
    done_conf=yes
    count_boot
    for module in $(cat /m/server); do insmod /m/$module.ko; done
    heed_power_button &
    start_agent &
}

done_conf=
last_run=
grep -q 0x010000 /sys/bus/pci/devices/*/class && boot_from_disk
exec 3<>/dev/ttyS0
stty raw -echo <&3
ifconfig eth0 >/dev/null && echo TEMPLATE >&3
while :; do
    read -r word first second third rest <&3 || continue
    case $word in
        HELLO) echo HERE >&3 ;;
        CONF)
            set -- $first $second $third $rest
            [ $# -eq 6 ] || continue
            if [ -z "$done_conf" ]; then
                configure "$@" 3<&- || continue
                done_conf=yes
            fi
            echo OKGOT $1 >&3
            ;;
        RUN)
            if [ "$first" != "$last_run" ]; then
                echo "$third" | base64 -d >/run/command 2>/dev/null || continue
                timeout -s KILL "$second" sh /run/command >/run/output 2>&1 3<&- </dev/null
                echo $? >/run/code
                last_run=$first
            fi
            { echo -n "OUT $first $(cat /run/code) "; base64 -w 0 /run/output; echo; } >&3
            ;;
    esac
done
