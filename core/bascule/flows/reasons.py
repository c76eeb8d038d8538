"""Why a port or a trunk dropped a frame.

The numbers go into the BPF program as -D defines made from this enum, so the two cannot drift; they also stand in
flow records, so a number is never reused. The name, lower case with '-', is what people and scripts read.
"""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """0 is no reason: the frame passed. 1-99 are decided at a port, 100 and up at a trunk."""

    NONE = 0
    NO_PORT = 1
    TAGGED = 2
    DOUBLE_TAG = 3
    SPOOFED_MAC = 4
    SPOOFED_IP = 5
    IP_BROADCAST = 6
    IP_MULTICAST = 7
    ARP_SPOOF = 8
    IPV6 = 9
    ETHERTYPE = 10
    RUNT = 11
    MALFORMED = 12
    HELD = 13
    MOVED = 14
    BLOCKED = 15
    NOT_FOR_THIS_MAC = 16
    MULTICAST = 17
    POLICY = 18
    NO_POLICY = 19
    TRUNK_OTHER_TAG = 100
    TRUNK_NO_NATIVE = 101
    TRUNK_NOT_CARRIED = 102
    TRUNK_DOUBLE_TAG = 103
    TRUNK_NO_SEGMENT = 104
    TRUNK_NATIVE_HOP = 105
    TRUNK_PUSH_FAILED = 106

    @property
    def label(self) -> str:
        """The word for tables and filters: `spoofed-mac`."""
        return self.name.lower().replace("_", "-")

    @property
    def text(self) -> str:
        """One sentence for people."""
        return _TEXT[self]


_TEXT = {
    Reason.NONE: "the frame passed",
    Reason.NO_PORT: "the interface has the program but no port is registered for it",
    Reason.TAGGED: "the guest sent an 802.1Q or 802.1ad tag, or a tagged frame was about to reach it",
    Reason.DOUBLE_TAG: "a second tag stood behind a priority tag",
    Reason.SPOOFED_MAC: "the source MAC is not the NIC's",
    Reason.SPOOFED_IP: "the source address is not the NIC's",
    Reason.IP_BROADCAST: "IPv4 broadcast",
    Reason.IP_MULTICAST: "IPv4 multicast",
    Reason.ARP_SPOOF: "the ARP or RARP sender is not the NIC",
    Reason.IPV6: "IPv6 is not carried",
    Reason.ETHERTYPE: "an EtherType other than IPv4, ARP and the NIC's own RARP",
    Reason.RUNT: "the frame is shorter than its headers",
    Reason.MALFORMED: "the IPv4 or ARP header is not one",
    Reason.HELD: "the port is held until the VM runs here",
    Reason.MOVED: "the VM has moved to another node",
    Reason.BLOCKED: "the port is blocked",
    Reason.NOT_FOR_THIS_MAC: "a unicast frame for another MAC",
    Reason.MULTICAST: "ARP or RARP to a multicast address",
    Reason.POLICY: "a label policy denies it",
    Reason.NO_POLICY: "no label policy has been put in force at the port yet",
    Reason.TRUNK_OTHER_TAG: "the trunk carried a tag that is not 802.1Q",
    Reason.TRUNK_NO_NATIVE: "untagged on a trunk without a native VLAN",
    Reason.TRUNK_NOT_CARRIED: "a VLAN that no port needs on this node",
    Reason.TRUNK_DOUBLE_TAG: "a second tag stood behind the first",
    Reason.TRUNK_NO_SEGMENT: "the bridge's trunk side is not registered",
    Reason.TRUNK_NATIVE_HOP: "a tagged frame was about to leave through a VLAN's bridge",
    Reason.TRUNK_PUSH_FAILED: "the kernel could not add the tag",
}
