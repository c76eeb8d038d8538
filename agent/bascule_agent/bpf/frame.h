// What a frame is: its addresses and ports as the key of its flow, its tags, its size. Knows no port and no map.
#define PROTO_8021Q 0x0081  // network order, as skb->vlan_proto has it
#define PROTO_8021AD 0xa888
#define ET_IPV4 0x0008
#define ET_ARP 0x0608
#define ET_RARP 0x3580
#define ET_IPV6 0xdd86
#define HEADERS 50  // Ethernet, IPv4 without options, TCP as far as its flags
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

enum { INGRESS = 0, EGRESS = 1 };

struct flow_key {
    u32 ifindex; u8 direction; u8 verdict; u8 reason; u8 proto;
    u8 src_mac[6]; u8 dst_mac[6];
    u16 ethertype; u16 vlan;
    u32 src_ip; u32 dst_ip;
    u16 src_port; u16 dst_port;
    u32 rule;
};

enum { WHOLE = 0, FIRST_FRAGMENT = 1, LATER_FRAGMENT = 2 };

// One frame on its way through a port: when, what is counted for it and where, and what its headers say beyond the key.
// `l4` is where the transport header begins; the fields after it are 0 where there are none.
struct frame {
    u64 now; u32 length; u32 segments; u32 epoch; u32 l4;
    u16 ip_id; u16 icmp_id; u8 icmp_type; u8 icmp_code; u8 tcp_flags; u8 fragment;
};

static inline int same_mac(u8 *a, u8 *b) {
    return *(u16 *)a == *(u16 *)b && *(u16 *)(a + 2) == *(u16 *)(b + 2) && *(u16 *)(a + 4) == *(u16 *)(b + 4);
}

// By halves: as bytes it would be 24 instructions.
static inline void copy_mac(u8 *to, u8 *from) {
    *(u16 *)to = *(u16 *)from;
    *(u16 *)(to + 2) = *(u16 *)(from + 2);
    *(u16 *)(to + 4) = *(u16 *)(from + 4);
}

static inline int broadcast(u8 *mac) {
    return *(u16 *)mac == 0xffff && *(u16 *)(mac + 2) == 0xffff && *(u16 *)(mac + 4) == 0xffff;
}

// Headers may sit in page fragments; after this the first HEADERS bytes, or all there are, can be read directly.
static inline void pull(struct __sk_buff *skb) {
    u32 want = skb->len < HEADERS ? skb->len : HEADERS;
    if ((void *)(long)skb->data + want > (void *)(long)skb->data_end) bpf_skb_pull_data(skb, want);
}

static inline int has_ports(u8 proto) {
    return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == 132 || proto == 136;  // SCTP, UDP-Lite
}

static inline void note_l4(u8 *l4, struct flow_key *key, struct frame *frame) {
    if (has_ports(key->proto)) {
        key->src_port = *(u16 *)l4;
        key->dst_port = *(u16 *)(l4 + 2);
        if (key->proto == IPPROTO_TCP) frame->tcp_flags = l4[13];
    } else if (key->proto == IPPROTO_ICMP) {
        frame->icmp_type = l4[0];
        frame->icmp_code = l4[1];
        frame->icmp_id = *(u16 *)(l4 + 4);
    }
}

// Of a header that is cut short only what is there counts; a TCP header without its flags has none.
static inline void load_l4(struct __sk_buff *skb, struct flow_key *key, struct frame *frame) {
    u8 l4[14] = {};
    if (bpf_skb_load_bytes(skb, frame->l4, l4, 14) && bpf_skb_load_bytes(skb, frame->l4, l4, 8)) return;
    note_l4(l4, key, frame);
}

// The key's addresses and ports. Returns a reason when the frame is too short for its headers or they are none.
static inline u8 parse(struct __sk_buff *skb, struct flow_key *key, struct frame *frame) {
    pull(skb);
    u8 *data = (void *)(long)skb->data;
    void *end = (void *)(long)skb->data_end;
    if ((void *)data + 14 > end) return R_RUNT;
    copy_mac(key->dst_mac, data);
    copy_mac(key->src_mac, data + 6);
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
    frame->l4 = 14 + header;
    frame->ip_id = *(u16 *)(data + 18);
    u16 place = *(u16 *)(data + 20);
    if (place & 0xff1f) frame->fragment = LATER_FRAGMENT;
    else if (place & 0x0020) frame->fragment = FIRST_FRAGMENT;
    if (frame->fragment == LATER_FRAGMENT) return R_NONE;
    if (header == 20 && (void *)data + HEADERS <= end) note_l4(data + 34, key, frame);
    else load_l4(skb, key, frame);
    return R_NONE;
}

// A priority tag (VID 0) counts as untagged. Popping it moves a tag behind it into the metadata: look again.
static inline u8 untag(struct __sk_buff *skb) {
    if (!skb->vlan_present) return R_NONE;
    if ((skb->vlan_tci & 0xfff) || skb->vlan_proto != PROTO_8021Q) return R_TAGGED;
    if (bpf_skb_vlan_pop(skb)) return R_TAGGED;
    return skb->vlan_present ? R_DOUBLE_TAG : R_NONE;
}
