// The agent's data plane: one program per role, shared by all ports and trunks of a node, per-port data in maps.
//
//   guest -> port_in -> bridge -> mux_out (adds the tag) -> trunk      bridge of one VLAN, `stub` is its trunk side
//   guest <- port_out <- bridge <- stub <- demux_in (takes the tag) <- trunk
//
// Every frame at a port is counted once in `flows`, or in `counters` under the error of the failed insert, and always
// in the port's total. Both pairs of maps are chosen by one read of `cur`, so after a swap the idle pair adds up.
// R_* are bascule.flows.reasons.Reason, FLOW_ENTRIES and PORT_ENTRIES sizes, all given as defines by the build.
#define TC_OK 0
#define TC_DROP 2
#define TC_NEXT -1  // TC_ACT_UNSPEC: another filter behind it decides
#define TO_INGRESS 1
#define PROTO_8021Q 0x0081  // network order, as skb->vlan_proto has it
#define PROTO_8021AD 0xa888
#define ET_IPV4 0x0008
#define ET_ARP 0x0608
#define ET_RARP 0x3580
#define ET_IPV6 0xdd86

enum { INGRESS = 0, EGRESS = 1 };
enum { ALLOW = 1, DROP = 3 };
enum { LIVE = 0, STATE_HELD = 1, STATE_MOVED = 2, STATE_BLOCKED = 3 };
enum { OPENED = 1, MOVED = 2, RETURNED = 3 };

struct port { u8 mac[6]; u16 vlan; u32 ip; u32 state; u32 bridge; u32 pad; u64 opened; u64 moved; };
struct trunk_key { u32 ifindex; u32 vid; };
struct segment { u32 stub; u32 bridge; };
struct stub { u32 trunk; u32 vid; };
struct mac_key { u32 bridge; u8 mac[6]; u16 vlan; };
struct counter_key { u32 ifindex; u16 direction; u16 cause; };  // cause 0: the port's total, else errno of the insert
struct counter { u64 packets; u64 bytes; };
struct flow_key {
    u32 ifindex; u8 direction; u8 verdict; u8 reason; u8 proto;
    u8 src_mac[6]; u8 dst_mac[6];
    u16 ethertype; u16 vlan;
    u32 src_ip; u32 dst_ip;
    u16 src_port; u16 dst_port;
    u32 rule;
};
struct flow { u64 packets; u64 bytes; u64 first; u64 last; };
struct event { u64 time; u32 ifindex; u32 kind; u8 mac[6]; u16 ethertype; u16 vlan; u16 pad; u32 seen_at; };

BPF_HASH(ports, u32, struct port, PORT_ENTRIES);
BPF_HASH(macs, struct mac_key, u32, PORT_ENTRIES);
BPF_HASH(trunks, struct trunk_key, struct segment, 4096);
BPF_HASH(native, u32, u32, 64);
BPF_HASH(stubs, u32, struct stub, 4096);
BPF_HASH(trunk_drops, struct counter_key, struct counter, 1024);
BPF_TABLE("hash", struct flow_key, struct flow, flows0, FLOW_ENTRIES);
BPF_TABLE("hash", struct flow_key, struct flow, flows1, FLOW_ENTRIES);
BPF_HASH(counters0, struct counter_key, struct counter, 8192);
BPF_HASH(counters1, struct counter_key, struct counter, 8192);
BPF_ARRAY(cur, u32, 1);
BPF_ARRAY(lost, u64, 2);  // 0: counters that found no room, 1: events that found no room
BPF_RINGBUF_OUTPUT(events, 16);

// One frame on its way through a port: what is counted for it, and where.
struct frame { u32 length; u32 segments; u32 epoch; };

static inline void forgot(u32 which) {
    u64 *count = lost.lookup(&which);
    if (count) __sync_fetch_and_add(count, 1);
}

static inline void bump(struct counter *counter, u64 packets, u64 bytes) {
    __sync_fetch_and_add(&counter->packets, packets);
    __sync_fetch_and_add(&counter->bytes, bytes);
}

static inline void count_port(u32 ifindex, u16 direction, u16 cause, struct frame *frame) {
    struct counter_key key = {ifindex, direction, cause};
    struct counter zero = {}, *counter;
    if (frame->epoch) counter = counters1.lookup_or_try_init(&key, &zero);
    else counter = counters0.lookup_or_try_init(&key, &zero);
    if (counter) bump(counter, frame->segments, frame->length);
    else forgot(0);
}

static inline void count_trunk(struct __sk_buff *skb, u16 reason) {
    struct counter_key key = {skb->ifindex, 0, reason};
    struct counter zero = {}, *counter = trunk_drops.lookup_or_try_init(&key, &zero);
    if (counter) bump(counter, skb->gso_segs ? skb->gso_segs : 1, skb->len);
    else forgot(0);
}

static inline int settle(struct flow_key *key, struct frame *frame, u8 reason) {
    u64 now = bpf_ktime_get_ns();
    struct flow fresh = {0, 0, now, now}, *flow;
    int error = 0;
    key->reason = reason;
    key->verdict = reason ? DROP : ALLOW;
    if (frame->epoch) flow = flows1.lookup(key);
    else flow = flows0.lookup(key);
    if (!flow) {
        // Not lookup_or_try_init: the ledger wants to know why an insert failed. -EEXIST: another CPU was first.
        if (frame->epoch) { error = flows1.insert(key, &fresh); flow = flows1.lookup(key); }
        else { error = flows0.insert(key, &fresh); flow = flows0.lookup(key); }
    }
    if (flow) {
        __sync_fetch_and_add(&flow->packets, frame->segments);
        __sync_fetch_and_add(&flow->bytes, frame->length);
        flow->last = now;
    } else {
        count_port(key->ifindex, key->direction, -error, frame);
    }
    count_port(key->ifindex, key->direction, 0, frame);
    return reason ? TC_DROP : TC_OK;
}

static inline void measure(struct __sk_buff *skb, struct frame *frame) {
    u32 zero = 0, *epoch = cur.lookup(&zero);
    frame->epoch = epoch ? *epoch : 0;
    frame->segments = skb->gso_segs ? skb->gso_segs : 1;
    // A tag sits beside the data; the guest counted it as part of the frame.
    frame->length = skb->len + (skb->vlan_present ? 4 : 0);
}

static inline int same_mac(u8 *a, u8 *b) {
    return *(u16 *)a == *(u16 *)b && *(u16 *)(a + 2) == *(u16 *)(b + 2) && *(u16 *)(a + 4) == *(u16 *)(b + 4);
}

static inline int broadcast(u8 *mac) {
    return *(u16 *)mac == 0xffff && *(u16 *)(mac + 2) == 0xffff && *(u16 *)(mac + 4) == 0xffff;
}

// Headers may sit in page fragments; after this the first 42 bytes, or all there are, can be read directly.
static inline void pull(struct __sk_buff *skb) {
    u32 want = skb->len < 42 ? skb->len : 42;
    if ((void *)(long)skb->data + want > (void *)(long)skb->data_end) bpf_skb_pull_data(skb, want);
}

// The key's addresses and ports. Returns a reason when the frame is too short for its headers or they are none.
static inline u8 parse(struct __sk_buff *skb, struct flow_key *key) {
    pull(skb);
    u8 *data = (void *)(long)skb->data;
    void *end = (void *)(long)skb->data_end;
    if ((void *)data + 14 > end) return R_RUNT;
    __builtin_memcpy(key->dst_mac, data, 6);
    __builtin_memcpy(key->src_mac, data + 6, 6);
    key->ethertype = *(u16 *)(data + 12);
    if (key->ethertype == ET_ARP || key->ethertype == ET_RARP) {
        if ((void *)data + 42 > end) return R_RUNT;
        key->src_ip = *(u32 *)(data + 28);
        key->dst_ip = *(u32 *)(data + 38);
        // Ethernet and IPv4 with their lengths, else the offsets above mean something else.
        if (*(u16 *)(data + 14) != 0x0100 || *(u16 *)(data + 16) != 0x0008 || *(u16 *)(data + 18) != 0x0406) return R_MALFORMED;
        return R_NONE;
    }
    if (key->ethertype != ET_IPV4) return R_NONE;
    if ((void *)data + 34 > end) return R_RUNT;
    key->proto = data[23];
    key->src_ip = *(u32 *)(data + 26);
    key->dst_ip = *(u32 *)(data + 30);
    u32 header = (data[14] & 15) * 4;
    if ((data[14] >> 4) != 4 || header < 20) return R_MALFORMED;
    u16 later_fragment = *(u16 *)(data + 20) & 0xff1f;
    if ((key->proto == 6 || key->proto == 17) && !later_fragment) {
        u16 l4[2] = {};
        if (!bpf_skb_load_bytes(skb, 14 + header, l4, 4)) { key->src_port = l4[0]; key->dst_port = l4[1]; }
    }
    return R_NONE;
}

static inline void tell(u32 ifindex, u32 kind, struct port *port, u16 ethertype, u32 seen_at) {
    struct event *event = events.ringbuf_reserve(sizeof(*event));
    if (!event) { forgot(1); return; }
    event->time = bpf_ktime_get_ns();
    event->ifindex = ifindex;
    event->kind = kind;
    __builtin_memcpy(event->mac, port->mac, 6);
    event->ethertype = ethertype;
    event->vlan = port->vlan;
    event->pad = 0;
    event->seen_at = seen_at;
    events.ringbuf_submit(event, 0);
}

static inline u8 from_guest_ip(struct flow_key *key, struct port *port) {
    if (key->src_ip != port->ip) return R_SPOOFED_IP;
    if (broadcast(key->dst_mac) || key->dst_ip == 0xffffffff) return R_IP_BROADCAST;
    if ((key->dst_mac[0] & 1) || (key->dst_ip & 0xf0) == 0xe0) return R_IP_MULTICAST;
    return R_NONE;
}

// `data` + 42 has been read by parse; the verifier wants to see the check again.
static inline u8 from_guest_arp(struct __sk_buff *skb, struct flow_key *key, struct port *port) {
    u8 *data = (void *)(long)skb->data;
    if ((void *)data + 42 > (void *)(long)skb->data_end) return R_RUNT;
    if (!same_mac(data + 22, port->mac)) return R_ARP_SPOOF;
    if (key->src_ip != port->ip && key->src_ip != 0) return R_ARP_SPOOF;
    if (key->ethertype == ET_RARP && !same_mac(data + 32, port->mac)) return R_ARP_SPOOF;
    if ((key->dst_mac[0] & 1) && !broadcast(key->dst_mac)) return R_MULTICAST;
    return R_NONE;
}

static inline u8 other_ethertype(u16 ethertype) {
    if (ethertype == PROTO_8021Q || ethertype == PROTO_8021AD) return R_DOUBLE_TAG;
    return ethertype == ET_IPV6 ? R_IPV6 : R_ETHERTYPE;
}

// A priority tag (VID 0) counts as untagged. Popping it moves a tag behind it into the metadata: look again.
static inline u8 untag(struct __sk_buff *skb) {
    if (!skb->vlan_present) return R_NONE;
    if ((skb->vlan_tci & 0xfff) || skb->vlan_proto != PROTO_8021Q) return R_TAGGED;
    if (bpf_skb_vlan_pop(skb)) return R_TAGGED;
    return skb->vlan_present ? R_DOUBLE_TAG : R_NONE;
}

int port_in(struct __sk_buff *skb) {
    u32 ifindex = skb->ifindex;
    struct flow_key key = {.ifindex = ifindex, .direction = EGRESS};
    struct frame frame = {};
    measure(skb, &frame);
    struct port *port = ports.lookup(&ifindex);
    u8 tag = untag(skb);
    u8 header = parse(skb, &key);
    if (!port) return settle(&key, &frame, R_NO_PORT);
    key.vlan = port->vlan;
    if (port->state == STATE_BLOCKED) return settle(&key, &frame, R_BLOCKED);
    if (tag) return settle(&key, &frame, tag);
    if (header == R_RUNT) return settle(&key, &frame, header);
    if (!same_mac(key.src_mac, port->mac)) return settle(&key, &frame, R_SPOOFED_MAC);
    if (header) return settle(&key, &frame, header);
    u8 reason;
    if (key.ethertype == ET_IPV4) reason = from_guest_ip(&key, port);
    else if (key.ethertype == ET_ARP || key.ethertype == ET_RARP) reason = from_guest_arp(skb, &key, port);
    else reason = other_ethertype(key.ethertype);
    if (reason) return settle(&key, &frame, reason);
    if (port->state == STATE_HELD) {
        port->state = LIVE;
        port->opened = bpf_ktime_get_ns();
        tell(ifindex, OPENED, port, key.ethertype, ifindex);
    } else if (port->state == STATE_MOVED) {
        // The guest speaks here: what looked like a move was another's frame, or the move failed and it came back.
        port->state = LIVE;
        tell(ifindex, RETURNED, port, key.ethertype, ifindex);
    }
    return settle(&key, &frame, R_NONE);
}

int port_out(struct __sk_buff *skb) {
    u32 ifindex = skb->ifindex;
    struct flow_key key = {.ifindex = ifindex, .direction = INGRESS};
    struct frame frame = {};
    measure(skb, &frame);
    struct port *port = ports.lookup(&ifindex);
    u8 header = parse(skb, &key);
    if (!port) return settle(&key, &frame, R_NO_PORT);
    key.vlan = port->vlan;
    if (port->state == STATE_BLOCKED) return settle(&key, &frame, R_BLOCKED);
    if (port->state == STATE_HELD) return settle(&key, &frame, R_HELD);
    if (port->state == STATE_MOVED) return settle(&key, &frame, R_MOVED);
    if (skb->vlan_present) return settle(&key, &frame, R_TAGGED);
    if (header) return settle(&key, &frame, header);
    u8 mine = same_mac(key.dst_mac, port->mac), all = broadcast(key.dst_mac), reason = R_NONE;
    if (key.ethertype != ET_IPV4 && key.ethertype != ET_ARP) reason = other_ethertype(key.ethertype);
    else if (mine || (all && key.ethertype == ET_ARP)) reason = R_NONE;
    else if (all) reason = R_IP_BROADCAST;
    else if (key.dst_mac[0] & 1) reason = key.ethertype == ET_ARP ? R_MULTICAST : R_IP_MULTICAST;
    else reason = R_NOT_FOR_THIS_MAC;
    return settle(&key, &frame, reason);
}

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
    struct port *port = ports.lookup(&index);
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
