// The least that counting flows costs: five-tuple, one lookup in a plain hash, two atomic additions, a time stamp.
struct key { u32 src; u32 dst; u32 ports; u32 proto; };
struct value { u64 packets; u64 bytes; u64 last; };
BPF_HASH(table, struct key, struct value, 16384);

int minimal(struct __sk_buff *skb) {
    u8 *data = (void *)(long)skb->data;
    if ((void *)data + 42 > (void *)(long)skb->data_end) return 2;
    if (*(u16 *)(data + 12) != 0x0008) return 2;
    struct key key = {*(u32 *)(data + 26), *(u32 *)(data + 30), *(u32 *)(data + 34), data[23]};
    struct value zero = {}, *value = table.lookup_or_try_init(&key, &zero);
    if (!value) return 2;
    __sync_fetch_and_add(&value->packets, 1);
    __sync_fetch_and_add(&value->bytes, skb->len);
    value->last = bpf_ktime_get_ns();
    return 0;
}
