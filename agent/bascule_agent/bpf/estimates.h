// What TCP looks like from outside: time from SYN to SYN-ACK, segments sent again, segments out of order, flags seen.
// The table forgets the connections that were silent longest, so these are estimates; nothing exact depends on them.
#define REORDER_NS 3000000  // a hole that is filled sooner was reordered, later sent again

struct conversation { u32 ifindex; u32 guest_ip; u32 peer_ip; u16 guest_port; u16 peer_port; };
struct stream { u64 gap_at; u32 next; u32 hole; u32 again; u32 reordered; u32 flags; u32 known; };
struct estimate { u64 syn_at; u32 syn_from; u32 rtt_us; struct stream side[2]; };

BPF_TABLE("lru_hash", struct conversation, struct estimate, estimates, ESTIMATE_ENTRIES);

static inline void follow(struct stream *side, u32 seq, u32 length, u64 now) {
    u32 end = seq + length;
    if (!side->known) {
        side->known = 1;
        side->next = end;
        return;
    }
    int ahead = seq - side->next;
    if (ahead > 0) {  // something is missing: remember where
        side->hole = side->next;
        side->gap_at = now;
    } else if (ahead < 0) {
        int inside = seq - side->hole;
        if (side->gap_at && inside >= 0 && now - side->gap_at < REORDER_NS) side->reordered++;
        else side->again++;
        if ((int)(end - side->next) <= 0) return;
    }
    side->next = end;
}

static inline void handshake(struct estimate *seen, u32 direction, u8 flags, u64 now) {
    if ((flags & 0x12) == 0x02) {
        // A SYN that is sent again makes the answer ambiguous: better no time than a wrong one.
        seen->syn_at = seen->syn_at ? 0 : now;
        seen->syn_from = direction;
    } else if ((flags & 0x12) == 0x12 && seen->syn_at && seen->syn_from != direction && !seen->rtt_us) {
        u32 microseconds = (now - seen->syn_at) / 1000;
        seen->rtt_us = microseconds ? microseconds : 1;
    }
}

struct tcp_part { u32 seq; u16 total; u8 words; };

// Sequence number, IP length and header words: read in place where they stand as usual, by a helper behind IP options.
static inline int read_part(struct __sk_buff *skb, struct frame *frame, struct tcp_part *part) {
    u8 *data = (void *)(long)skb->data, tcp[14];
    if (frame->l4 == 34 && (void *)data + 48 <= (void *)(long)skb->data_end) {
        part->total = *(u16 *)(data + 16);
        part->seq = *(u32 *)(data + 38);
        part->words = data[46] >> 4;
        return 0;
    }
    if (bpf_skb_load_bytes(skb, frame->l4, tcp, sizeof(tcp)) || bpf_skb_load_bytes(skb, 16, &part->total, 2)) return 1;
    part->seq = *(u32 *)(tcp + 4);
    part->words = tcp[12] >> 4;
    return 0;
}

// Called for TCP frames that pass. `frame->l4` is where the TCP header begins.
static inline void estimate(struct __sk_buff *skb, struct flow_key *key, struct frame *frame) {
    u8 out = key->direction == EGRESS, flags = frame->tcp_flags;
    struct conversation name = {
        key->ifindex, out ? key->src_ip : key->dst_ip, out ? key->dst_ip : key->src_ip,
        out ? key->src_port : key->dst_port, out ? key->dst_port : key->src_port,
    };
    struct tcp_part part = {};
    if (read_part(skb, frame, &part)) return;
    struct estimate zero = {}, *seen = estimates.lookup_or_try_init(&name, &zero);
    if (!seen) return;
    u32 headers = frame->l4 - 14 + part.words * 4, size = bpf_ntohs(part.total);
    u32 length = (size > headers ? size - headers : 0) + ((flags & 0x02) ? 1 : 0) + (flags & 0x01);
    struct stream *side = out ? &seen->side[EGRESS] : &seen->side[INGRESS];
    if ((side->flags & flags) != flags) side->flags |= flags;
    handshake(seen, key->direction, flags, frame->now);
    if (length) follow(side, bpf_ntohl(part.seq), length, frame->now);
}
