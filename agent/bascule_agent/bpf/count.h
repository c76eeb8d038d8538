// Counting that adds up: every frame at a port is counted once in `flows`, or in `counters` under the error of the
// failed insert, and always in the port's total. Both pairs of maps are chosen by one read of `cur`, so after a swap the
// idle pair adds up.
#define MMAPABLE 1024

enum { ALLOW = 1, DENY = 2, DROP = 3 };

struct counter_key { u32 ifindex; u16 direction; u16 cause; };  // cause 0: the port's total, else errno of the insert
struct counter { u64 packets; u64 bytes; };
struct flow { u64 packets; u64 bytes; u64 first; u64 last; };

BPF_HASH(trunk_drops, struct counter_key, struct counter, 1024);
BPF_TABLE("hash", struct flow_key, struct flow, flows0, FLOW_ENTRIES);
BPF_TABLE("hash", struct flow_key, struct flow, flows1, FLOW_ENTRIES);
BPF_HASH(counters0, struct counter_key, struct counter, 8192);
BPF_HASH(counters1, struct counter_key, struct counter, 8192);
// Totals by ifindex and direction: an array is read in place. A link with a higher index is in `counters`.
BPF_F_TABLE("array", u32, struct counter, totals0, 2 * NEAR_LINKS, MMAPABLE);
BPF_F_TABLE("array", u32, struct counter, totals1, 2 * NEAR_LINKS, MMAPABLE);
BPF_ARRAY(cur, u32, 1);
BPF_ARRAY(lost, u64, 2);  // 0: counters that found no room, 1: events that found no room

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

static inline void count_total(u32 ifindex, u16 direction, struct frame *frame) {
    u32 at = 2 * ifindex + direction;
    struct counter *total = NULL;
    if (ifindex < NEAR_LINKS) {
        if (frame->epoch) total = totals1.lookup(&at);
        else total = totals0.lookup(&at);
    }
    if (total) bump(total, frame->segments, frame->length);
    else count_port(ifindex, direction, 0, frame);
}

static inline void count_trunk(struct __sk_buff *skb, u16 reason) {
    struct counter_key key = {skb->ifindex, 0, reason};
    struct counter zero = {}, *counter = trunk_drops.lookup_or_try_init(&key, &zero);
    if (counter) bump(counter, skb->gso_segs ? skb->gso_segs : 1, skb->len);
    else forgot(0);
}

static inline int settle(struct flow_key *key, struct frame *frame, u8 reason) {
    u64 now = frame->now;
    struct flow fresh = {0, 0, now, now}, *flow;
    int error = 0;
    key->reason = reason;
    key->verdict = !reason ? ALLOW : reason == R_POLICY ? DENY : DROP;
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
    count_total(key->ifindex, key->direction, frame);
    return reason ? TC_DROP : TC_OK;
}

static inline void measure(struct __sk_buff *skb, struct frame *frame) {
    u32 zero = 0, *epoch = cur.lookup(&zero);
    frame->now = bpf_ktime_get_ns();
    frame->epoch = epoch ? *epoch : 0;
    frame->segments = skb->gso_segs ? skb->gso_segs : 1;
    // A tag sits beside the data; the guest counted it as part of the frame.
    frame->length = skb->len + (skb->vlan_present ? 4 : 0);
}
