// What the kernel throws away, by link and reason: the raw tracepoint skb:kfree_skb, which is passed only by what is
// dropped. It is one tracepoint for the whole machine, so the first question is whether the frame's link is in `home`,
// the network namespace that is asked about. It looks and changes nothing.
//
// OFF_* are where the running kernel keeps these members (btf.py). While a frame stands in a queue of TCP or UDP its
// `dev` is something else: then a read fails, or the namespace is another, and the frame is left out.
struct kfree { u64 skb; u64 location; u64 reason; };
struct drop_key { u32 ifindex; u32 reason; };
struct drop { u64 packets; u64 bytes; u64 last; };

BPF_ARRAY(home, u32, 1);  // the inode of the namespace; 0 before it is told
BPF_HASH(drops, struct drop_key, struct drop, DROP_ENTRIES);
BPF_ARRAY(uncounted, u64, 1);  // frames that found no room in `drops`

static inline u64 word_at(u64 address) {
    u64 found = 0;
    bpf_probe_read_kernel(&found, sizeof(found), (void *)address);
    return found;
}

static inline u32 half_at(u64 address) {
    u32 found = 0;
    bpf_probe_read_kernel(&found, sizeof(found), (void *)address);
    return found;
}

int raw_tracepoint__kfree_skb(struct kfree *ctx) {
    u32 zero = 0, *inode = home.lookup(&zero);
    u64 skb = ctx->skb, reason = ctx->reason, dev = word_at(skb + OFF_DEV);
    if (!inode || !dev) return 0;
    u64 net = word_at(dev + OFF_NET);
    if (!net || half_at(net + OFF_INUM) != *inode) return 0;
    struct drop_key key = {half_at(dev + OFF_IFINDEX), reason};
    struct drop none = {}, *drop = drops.lookup_or_try_init(&key, &none);
    if (!drop) {
        u64 *count = uncounted.lookup(&zero);
        if (count) __sync_fetch_and_add(count, 1);
        return 0;
    }
    __sync_fetch_and_add(&drop->packets, 1);
    __sync_fetch_and_add(&drop->bytes, half_at(skb + OFF_LEN));
    drop->last = bpf_ktime_get_ns();
    return 0;
}
