// A port: its entry, its state, and what is told about it through the ring.
enum { LIVE = 0, STATE_HELD = 1, STATE_MOVED = 2, STATE_BLOCKED = 3 };
enum { OPENED = 1, MOVED = 2, RETURNED = 3 };

// `slot`: where its policy is told, 0 for a port that no policy is asked about.
struct port { u8 mac[6]; u16 vlan; u32 ip; u32 state; u32 bridge; u32 slot; u64 opened; u64 moved; };
struct mac_key { u32 bridge; u8 mac[6]; u16 vlan; };
struct event { u64 time; u32 ifindex; u32 kind; u8 mac[6]; u16 ethertype; u16 vlan; u16 pad; u32 seen_at; };

// A link with a low index has its port in an array, which is read in place; none there is no MAC.
BPF_F_TABLE("array", u32, struct port, ports_near, NEAR_LINKS, MMAPABLE);
BPF_HASH(ports, u32, struct port, PORT_ENTRIES);
BPF_HASH(macs, struct mac_key, u32, PORT_ENTRIES);
BPF_RINGBUF_OUTPUT(events, 16);

static inline struct port *port_of(u32 ifindex) {
    if (ifindex >= NEAR_LINKS) return ports.lookup(&ifindex);
    struct port *port = ports_near.lookup(&ifindex);
    return port && (*(u32 *)port->mac || *(u16 *)(port->mac + 4)) ? port : NULL;
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
