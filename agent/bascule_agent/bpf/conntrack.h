// Connections by NIC: the first packet is judged, what follows in both directions passes with that verdict. A verdict
// holds for one program: after a swap the next packet of a connection, of whichever side, judges it again in the
// direction in which it was opened. What is then denied stays here as denied, so that the other direction's rules cannot
// take up its pieces; a new SYN begins anew. Times as in Calico's BPF data plane (felix/bpf/conntrack/timeouts).
#define SECOND 1000000000ull
#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

enum { CT_CONNECTION = 0, CT_FRAGMENTS = 1 };
enum { CT_REPLIED = 1, CT_FIN_OPENER = 2, CT_FIN_OTHER = 4, CT_RST = 8, CT_ADMITTED = 16 };

struct ct_key { u32 ifindex; u32 local; u32 remote; u16 local_port; u16 remote_port; u8 proto; u8 kind; u16 pad; };
struct ct {
    u64 seen; u32 program; u32 rule; u32 staged_rule;
    u8 action; u8 staged_action; u8 direction; u8 flags;
};

BPF_TABLE("lru_hash", struct ct_key, struct ct, conntrack, CONNTRACK_ENTRIES);

// A packet on its way to a verdict: its connection. `stateless`: it makes no entry. `related`: an ICMP error, `key` is the connection that it is about. `opens`: a SYN, or an ICMP request.
struct packet { struct ct_key key; u8 direction; u8 stateless; u8 related; u8 opens; };

static inline u64 ct_lifetime(struct ct_key *key, u8 flags) {
    u8 proto = key->proto;
    if (key->kind == CT_FRAGMENTS) return 30 * SECOND;
    if (proto == IPPROTO_TCP) {
        if (flags & CT_RST) return 40 * SECOND;
        if ((flags & CT_FIN_OPENER) && (flags & CT_FIN_OTHER)) return 30 * SECOND;
        return flags & (CT_REPLIED | CT_ADMITTED) ? 3600 * SECOND : 20 * SECOND;
    }
    if (proto == IPPROTO_UDP) return 60 * SECOND;
    return proto == IPPROTO_ICMP ? 5 * SECOND : 600 * SECOND;
}

// ICMP that asks (echo, timestamp, information, mask) and the type of its answer; anything else has no connection.
static inline u8 icmp_request(u8 type) {
    if (type == 8 || type == 0) return 8;
    if (type >= 13 && type <= 18) return type - !(type & 1);
    return 0;
}

static inline int icmp_error(u8 type) { return type == 3 || type == 4 || type == 11 || type == 12; }

// Inside an ICMP error is the packet that it is about, which went the other way. 0 when it is cut too short.
static inline int about(struct __sk_buff *skb, struct frame *frame, struct packet *packet) {
    u8 inner[20], l4[8];
    u32 at = frame->l4 + 8;
    if (bpf_skb_load_bytes(skb, at, inner, 20) || (inner[0] >> 4) != 4) return 0;
    if (bpf_skb_load_bytes(skb, at + (inner[0] & 15) * 4, l4, 8)) return 0;
    u32 src = *(u32 *)(inner + 12), dst = *(u32 *)(inner + 16);
    u16 src_port = 0, dst_port = 0;
    u8 proto = inner[9];
    if (has_ports(proto)) { src_port = *(u16 *)l4; dst_port = *(u16 *)(l4 + 2); }
    struct ct_key *key = &packet->key;
    if (packet->direction == INGRESS) { key->local = src; key->remote = dst; key->local_port = src_port; key->remote_port = dst_port; }
    else { key->local = dst; key->remote = src; key->local_port = dst_port; key->remote_port = src_port; }
    if (proto == IPPROTO_ICMP) { key->local_port = *(u16 *)(l4 + 4); key->remote_port = icmp_request(l4[0]); }
    key->proto = proto;
    return 1;
}

// The question to the rules that a connection's opener asked with its first packet.
static inline void query_of(struct ct_key *key, u8 direction, struct query *query) {
    u32 local = key->local_port, remote = key->remote_port;
    u8 out = direction == EGRESS;
    query->ifindex = key->ifindex;
    query->proto = key->proto;
    query->direction = direction;
    query->src = out ? key->local : key->remote;
    query->dst = out ? key->remote : key->local;
    if (key->proto == IPPROTO_ICMP) {
        query->src_port = one_port(remote);
        query->dst_port = one_port(0);
    } else if (has_ports(key->proto)) {
        query->src_port = one_port(bpf_ntohs(out ? local : remote));
        query->dst_port = one_port(bpf_ntohs(out ? remote : local));
    } else {
        query->src_port = query->dst_port = (struct range){0, 65535};
    }
}

// The question of a packet that belongs to no connection.
static inline void query_new(struct flow_key *flow, struct frame *frame, struct query *query) {
    query->ifindex = flow->ifindex;
    query->proto = flow->proto;
    query->direction = flow->direction;
    query->src = flow->src_ip;
    query->dst = flow->dst_ip;
    if (frame->fragment != LATER_FRAGMENT && flow->proto == IPPROTO_ICMP) {
        query->src_port = one_port(frame->icmp_type);
        query->dst_port = one_port(frame->icmp_code);
    } else if (frame->fragment != LATER_FRAGMENT && has_ports(flow->proto)) {
        query->src_port = one_port(bpf_ntohs(flow->src_port));
        query->dst_port = one_port(bpf_ntohs(flow->dst_port));
    } else {
        query->src_port = query->dst_port = (struct range){0, 65535};
    }
}

static inline void classify_icmp(struct __sk_buff *skb, struct frame *frame, struct packet *packet) {
    struct ct_key *key = &packet->key;
    u8 request = icmp_request(frame->icmp_type);
    key->local_port = request ? frame->icmp_id : 0;
    key->remote_port = request;
    packet->opens = request && request == frame->icmp_type;
    packet->stateless = !packet->opens;
    if (icmp_error(frame->icmp_type)) packet->related = about(skb, frame, packet);
}

static inline void classify(struct __sk_buff *skb, struct flow_key *flow, struct frame *frame, struct packet *packet) {
    struct ct_key *key = &packet->key;
    u8 out = flow->direction == EGRESS;
    packet->direction = flow->direction;
    key->ifindex = flow->ifindex;
    key->proto = flow->proto;
    key->local = out ? flow->src_ip : flow->dst_ip;
    key->remote = out ? flow->dst_ip : flow->src_ip;
    key->local_port = out ? flow->src_port : flow->dst_port;
    key->remote_port = out ? flow->dst_port : flow->src_port;
    if (frame->fragment == LATER_FRAGMENT) {
        key->kind = CT_FRAGMENTS;
        key->local_port = frame->ip_id;
        key->remote_port = 1 + flow->direction;
        packet->stateless = 1;
    } else if (flow->proto == IPPROTO_ICMP) {
        classify_icmp(skb, frame, packet);
    } else if (flow->proto == IPPROTO_TCP) {
        u8 flags = frame->tcp_flags & (TCP_SYN | TCP_ACK);
        packet->opens = flags == TCP_SYN;
        packet->stateless = flags == (TCP_SYN | TCP_ACK) || (frame->tcp_flags & TCP_RST);
    }
}
