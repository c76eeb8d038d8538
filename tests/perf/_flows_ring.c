// Events of the agent's size into a ring, as many as one is asked for.
struct event { u64 time; u32 ifindex; u32 kind; u8 mac[6]; u16 ethertype; u16 vlan; u16 pad; u32 seen_at; };
BPF_RINGBUF_OUTPUT(events, 4096);

int tell(struct __sk_buff *skb) {
    struct event *event = events.ringbuf_reserve(sizeof(*event));
    if (!event) return 1;
    __builtin_memset(event, 0, sizeof(*event));
    event->time = bpf_ktime_get_ns();
    event->ifindex = skb->ifindex;
    event->kind = 1;
    events.ringbuf_submit(event, 1);
    return 0;
}
