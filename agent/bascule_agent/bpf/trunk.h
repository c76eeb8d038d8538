// The trunk side: frames are handed to the bridge of their VLAN and back, and a VM that speaks elsewhere is noticed.
#define TO_INGRESS 1

struct trunk_key { u32 ifindex; u32 vid; };
struct segment { u32 stub; u32 bridge; };
struct stub { u32 trunk; u32 vid; };

BPF_HASH(trunks, struct trunk_key, struct segment, 4096);
BPF_HASH(native, u32, u32, 64);
BPF_HASH(stubs, u32, struct stub, 4096);

// A frame from the trunk with the MAC of a VM whose port is live here: the VM runs elsewhere now.
static inline void notice_move(struct __sk_buff *skb, u32 bridge, u16 vlan) {
    u8 *data = (void *)(long)skb->data;
    if ((void *)data + 14 > (void *)(long)skb->data_end) return;
    struct mac_key key = {.bridge = bridge, .vlan = vlan};
    __builtin_memcpy(key.mac, data + 6, 6);
    u16 ethertype = *(u16 *)(data + 12);
    u32 *ifindex = macs.lookup(&key);
    if (!ifindex) return;
    u32 index = *ifindex;
    struct port *port = port_of(index);
    if (!port || port->state != LIVE) return;
    port->state = STATE_MOVED;
    port->moved = bpf_ktime_get_ns();
    tell(index, MOVED, port, ethertype, skb->ifindex);
}

static inline int trunk_drop(struct __sk_buff *skb, u16 reason) {
    count_trunk(skb, reason);
    return TC_DROP;
}

int demux_in(struct __sk_buff *skb) {
    u32 ifindex = skb->ifindex, vid = 0;
    if (skb->vlan_present) {
        if (skb->vlan_proto != PROTO_8021Q) return trunk_drop(skb, R_TRUNK_OTHER_TAG);
        vid = skb->vlan_tci & 0xfff;
    }
    if (!vid) {
        u32 *untagged = native.lookup(&ifindex);
        if (!untagged) return trunk_drop(skb, R_TRUNK_NO_NATIVE);
        vid = *untagged;
    }
    struct trunk_key key = {ifindex, vid};
    struct segment *segment = trunks.lookup(&key);
    if (!segment) return trunk_drop(skb, R_TRUNK_NOT_CARRIED);
    u32 stub = segment->stub, bridge = segment->bridge;
    if (skb->vlan_present) {
        bpf_skb_vlan_pop(skb);
        if (skb->vlan_present) return trunk_drop(skb, R_TRUNK_DOUBLE_TAG);
    }
    notice_move(skb, bridge, vid);
    return bpf_redirect(stub, TO_INGRESS);
}

// On the trunk of a bridge that keeps VLANs apart itself: looks, and lets everything pass. The line of VLAN 0 names the
// bridge, and in its low 12 bits the native VLAN (segments/ledger.py).
int watch_in(struct __sk_buff *skb) {
    struct trunk_key key = {skb->ifindex, 0};
    struct segment *line = trunks.lookup(&key);
    if (!line || (skb->vlan_present && skb->vlan_proto != PROTO_8021Q)) return TC_NEXT;
    u32 vid = skb->vlan_present ? skb->vlan_tci & 0xfff : 0;
    notice_move(skb, line->bridge, vid ? vid : line->stub & 0xfff);
    return TC_NEXT;
}

int mux_out(struct __sk_buff *skb) {
    u32 ifindex = skb->ifindex;
    struct stub *stub = stubs.lookup(&ifindex);
    if (!stub) return trunk_drop(skb, R_TRUNK_NO_SEGMENT);
    if (skb->vlan_present) return trunk_drop(skb, R_TRUNK_NATIVE_HOP);
    u32 trunk = stub->trunk, vid = stub->vid, *untagged = native.lookup(&trunk);
    if (!(untagged && *untagged == vid) && bpf_skb_vlan_push(skb, PROTO_8021Q, vid)) return trunk_drop(skb, R_TRUNK_PUSH_FAILED);
    return bpf_redirect(trunk, 0);
}
