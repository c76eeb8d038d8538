// The verdict on one IPv4 packet at a port: its connection's when it has one, else its NIC's program's.
//
// A packet that has no connection goes on in program `rows`, which looks at one block of rows and calls itself for the
// next: a loop over all rows has more branches than the verifier follows. What it needs is kept in `walks`; a tc program
// is not interrupted by another one on its CPU.

struct walk {
    struct flow_key flow; struct frame frame; struct packet packet; struct query query; struct ct fresh;
    u32 from; u16 block; u8 staged; u8 known; u32 rule; u32 logs; u32 logged[LOGGED];
};

BPF_PERCPU_ARRAY(walks, struct walk, 1);

// Where every frame at a port ends.
static inline int finish(struct __sk_buff *skb, struct flow_key *flow, struct frame *frame, u8 reason) {
    if (!reason && flow->proto == IPPROTO_TCP && frame->tcp_flags) estimate(skb, flow, frame);
    return settle(flow, frame, reason);
}

// What a packet adds to what is known of its connection's end.
static inline u8 ct_flags(struct ct *ct, struct frame *frame, u8 direction) {
    u8 opener = direction == ct->direction;
    u8 flags = ct->flags | (opener ? 0 : CT_REPLIED);
    if (frame->tcp_flags & TCP_RST) flags |= CT_RST;
    if (frame->tcp_flags & TCP_FIN) flags |= opener ? CT_FIN_OPENER : CT_FIN_OTHER;
    return flags;
}

// The pieces that follow a first fragment have no ports: they pass as it did.
static inline void remember_pieces(struct packet *packet, struct ct *ct, struct frame *frame) {
    struct ct_key key = packet->key;
    struct ct copy = *ct;
    key.kind = CT_FRAGMENTS;
    key.local_port = frame->ip_id;
    key.remote_port = 1 + packet->direction;
    conntrack.update(&key, &copy);
}

// A rule's packets are those of its direction: an answer, or an error about one, is no hit.
static inline void count_staged(struct ct *ct, struct packet *packet, struct frame *frame) {
    u32 kind = ct->staged_action == ROW_ALLOW ? HIT_STAGED_ALLOW : HIT_STAGED_DENY;
    if (!ct->staged_action || packet->related || packet->direction != ct->direction) return;
    count_hit(packet->key.ifindex, ct->staged_rule, kind, frame);
}

// A connection that was judged by the program in force.
static inline u8 go_on(struct ct *ct, struct packet *packet, struct flow_key *flow, struct frame *frame) {
    flow->rule = ct->rule;
    count_staged(ct, packet, frame);
    if (ct->action != ROW_ALLOW) return R_POLICY;
    if (packet->related) return R_NONE;
    ct->seen = frame->now;
    if (frame->fragment == LATER_FRAGMENT) return R_NONE;
    u8 flags = ct_flags(ct, frame, packet->direction);
    if (flags != ct->flags) ct->flags = flags;
    if (frame->fragment == FIRST_FRAGMENT) remember_pieces(packet, ct, frame);
    return R_NONE;
}

// Is the entry about this packet? What opens a connection against its direction, or after its end, opens another.
static inline int ct_holds(struct ct *ct, struct packet *packet, struct frame *frame) {
    if ((s64)(frame->now - ct->seen) >= (s64)ct_lifetime(&packet->key, ct->flags)) return 0;
    if (!packet->opens) return 1;
    u8 ended = ct->flags & (CT_RST | CT_FIN_OPENER | CT_FIN_OTHER);
    return ct->direction == packet->direction && ct->action == ROW_ALLOW && !ended;
}

// Mid-stream TCP of a NIC that came here without its connections; the lower port is taken for the server's.
static inline u8 admit(struct packet *packet, struct ct *fresh) {
    fresh->action = ROW_ALLOW;
    fresh->flags = CT_ADMITTED;
    fresh->direction = bpf_ntohs(packet->key.remote_port) < bpf_ntohs(packet->key.local_port) ? EGRESS : INGRESS;
    if (!packet->stateless) conntrack.update(&packet->key, fresh);
    return R_NONE;
}

// A packet's verdict is in `walk->fresh`: keep it.
static inline u8 judged(struct walk *walk) {
    struct ct *fresh = &walk->fresh;
    struct frame frame = walk->frame;
    u8 allow = fresh->action == ROW_ALLOW;
    walk->flow.rule = fresh->rule;
    count_staged(fresh, &walk->packet, &frame);
    for (u32 i = 0; i < LOGGED; i++) {
        if (i < walk->logs) report(&walk->query, walk->logged[i], &frame);
    }
    if (walk->known || (allow && !walk->packet.stateless)) conntrack.update(&walk->packet.key, fresh);
    if (allow && frame.fragment == FIRST_FRAGMENT) remember_pieces(&walk->packet, fresh, &frame);
    return allow ? R_NONE : R_POLICY;
}

// The action of the first row of this block that decides, its rule in `walk->rule`; 0 for none.
static inline u8 walk_block(struct walk *walk, struct block *block) {
    struct query query = walk->query;
    s64 from = walk->from, base = walk->block * BLOCK_ROWS;
#pragma nounroll
    for (u32 i = 0; i < BLOCK_ROWS; i++) {
        struct row *row = &block->rows[i];
        if (row_misses(row, &query, base + i, from) < 0) continue;
        if (row->src_set && !in_set(row->src_set, query.src)) continue;
        if (row->dst_set && !in_set(row->dst_set, query.dst)) continue;
        u8 action = row->action;
        if (action == ROW_PASS) {
            from = row->next;
        } else if (action == ROW_LOG) {
            u32 logs = walk->logs;
            if (!walk->staged && logs < LOGGED) { walk->logged[logs] = row->rule; walk->logs = logs + 1; }
        } else {
            walk->rule = row->rule;
            return action;
        }
    }
    walk->from = from;
    return 0;
}

// One block; returns only when there is a verdict, or none because rows are missing, which does not happen.
static inline u8 next_block(struct __sk_buff *skb, struct walk *walk) {
    struct ct *fresh = &walk->fresh;
    struct block_key key = {fresh->program, walk->block, walk->query.direction, walk->staged};
    struct block *block = blocks.lookup(&key);
    if (!block) return R_NO_POLICY;
    u8 action = walk_block(walk, block);
    if (!action) {
        walk->block++;
    } else if (walk->staged) {
        fresh->staged_action = action;
        fresh->staged_rule = walk->rule;
        return judged(walk);
    } else {
        fresh->action = action;
        fresh->rule = walk->rule;
        if (!(fresh->program & HAS_STAGED)) return judged(walk);
        walk->staged = 1;
        walk->block = walk->from = 0;
    }
    jump_rows.call(skb, 0);
    return R_NO_POLICY;
}

int rows(struct __sk_buff *skb) {
    u32 zero = 0;
    struct walk *walk = walks.lookup(&zero);
    if (!walk) return TC_DROP;
    u8 reason = next_block(skb, walk);
    struct flow_key flow = walk->flow;
    struct frame frame = walk->frame;
    return finish(skb, &flow, &frame, reason);
}

// Why an IPv4 packet that has passed every other check is not let through. What has no connection yet goes on in `rows`
// and does not come back.
static inline u8 judge(struct __sk_buff *skb, struct flow_key *flow, struct frame *frame, struct port *port) {
    u32 at = port->slot, zero = 0;
    if (!at) return R_NONE;
    struct slot *slot = slots.lookup(&at);
    u32 program = slot ? slot->program : 0;
    if (!program) return R_NO_POLICY;
    struct packet packet = {};
    classify(skb, flow, frame, &packet);
    struct ct *ct = conntrack.lookup(&packet.key);
    u8 known = ct && ct_holds(ct, &packet, frame);
    if (known && (ct->program == program || packet.key.kind == CT_FRAGMENTS)) return go_on(ct, &packet, flow, frame);
    struct walk *walk = walks.lookup(&zero);
    if (!walk) return R_NO_POLICY;
    struct ct fresh = {.seen = frame->now, .program = program, .direction = packet.direction};
    if (known) {
        fresh.direction = ct->direction;
        fresh.flags = packet.related ? ct->flags : ct_flags(ct, frame, packet.direction);
        query_of(&packet.key, fresh.direction, &walk->query);
    } else if (flow->proto == IPPROTO_TCP && !packet.opens && frame->now < slot->admit_until) {
        return admit(&packet, &fresh);
    } else {
        query_new(flow, frame, &walk->query);
    }
    walk->flow = *flow;
    walk->frame = *frame;
    walk->packet = packet;
    walk->fresh = fresh;
    walk->from = walk->rule = walk->logs = 0;
    walk->block = walk->staged = 0;
    walk->known = known;
    jump_rows.call(skb, 0);
    return R_NO_POLICY;
}
