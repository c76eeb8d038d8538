// Another owner's programs: one counts the frames it sees as a tcx program, one as a clsact filter. Each side of a link
// has its own place in `seen`.
BPF_ARRAY(seen, u64, 4);

static inline int saw(u32 place, int code) {
    u64 *count = seen.lookup(&place);
    if (count) __sync_fetch_and_add(count, 1);
    return code;
}

int tcx_in(struct __sk_buff *skb) { return saw(0, -1); }
int tcx_out(struct __sk_buff *skb) { return saw(1, -1); }
int tc_in(struct __sk_buff *skb) { return saw(2, 0); }
int tc_out(struct __sk_buff *skb) { return saw(3, 0); }
