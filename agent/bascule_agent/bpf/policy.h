// Policy is map contents (bascule.policy.layout). A NIC's program is blocks of rows under its number; the rows of a
// direction are walked from the first until one decides. Programs and address sets are never changed once written: other
// contents get another number, and a port's slot, one aligned word, says which program is in force. So a packet that has
// read the word is judged by that version alone; what it needs is removed a grace period after the word has changed.
#define LOGGED 8
#define HAS_STAGED 0x80000000  // in a program's number: it has rows of what is staged too

enum { ROW_ALLOW = 1, ROW_DENY = 2, ROW_LOG = 3, ROW_PASS = 4 };
enum { HIT_LOG = 0, HIT_STAGED_ALLOW = 1, HIT_STAGED_DENY = 2 };

struct row {
    u32 rule; u32 src_set; u32 dst_set;
    u16 src_low; u16 src_high; u16 dst_low; u16 dst_high; u16 next;
    u8 action; u8 not_proto; u8 proto; u8 pad[3];
};
struct block_key { u32 program; u16 index; u8 direction; u8 staged; };
struct block { struct row rows[BLOCK_ROWS]; };
struct prefix { u32 length; u32 set; u32 address; };
struct slot { u32 program; u32 pad; u64 admit_until; };
struct hit_key { u32 ifindex; u32 rule; u32 kind; };
struct log_event {
    u64 time; u32 ifindex; u32 rule; u32 src; u32 dst; u16 src_port; u16 dst_port; u8 proto; u8 direction; u16 pad;
};

// One packet as rows see it: addresses as on the wire, ports in host order, type and code for ICMP. A port is a range, of
// one; what has no port (a later fragment, another protocol) has the range of all, which only a row for all contains.
struct range { s64 low; s64 high; };
struct query { struct range src_port; struct range dst_port; u32 src; u32 dst; u32 ifindex; u8 proto; u8 direction; };

BPF_F_TABLE("array", u32, struct slot, slots, PORT_ENTRIES, MMAPABLE);
BPF_F_TABLE("hash", struct block_key, struct block, blocks, BLOCK_ENTRIES, BPF_F_NO_PREALLOC);
BPF_LPM_TRIE(sets, struct prefix, u32, PREFIX_ENTRIES);
BPF_PROG_ARRAY(jump_rows, 1);
BPF_HASH(hits, struct hit_key, struct counter, 16384);  // what flow records cannot tell: Log rows, staged verdicts
BPF_RINGBUF_OUTPUT(logs, 16);

static inline int in_set(u32 set, u32 address) {
    struct prefix key = {64, set, address};
    return sets.lookup(&key) != NULL;
}

static inline struct range one_port(u32 port) { return (struct range){port, port}; }

// Negative when the row is before `from`, or its protocol or ports are others; without a branch.
static inline s64 row_misses(struct row *row, struct query *query, s64 at, s64 from) {
    s64 other_proto = (((s64)(row->proto ^ query->proto)) - 1) ^ ((s64)row->not_proto - 1);
    s64 any_proto = (s64)row->proto - 1;
    s64 src = (query->src_port.low - row->src_low) | (row->src_high - query->src_port.high);
    s64 dst = (query->dst_port.low - row->dst_low) | (row->dst_high - query->dst_port.high);
    s64 misses = (at - from) | (other_proto & ~any_proto) | src | dst;
    asm volatile("" : "+r"(misses));  // or clang takes it to pieces again
    return misses;
}

static inline void count_hit(u32 ifindex, u32 rule, u32 kind, struct frame *frame) {
    struct hit_key key = {ifindex, rule, kind};
    struct counter zero = {}, *counter = hits.lookup_or_try_init(&key, &zero);
    if (counter) bump(counter, frame->segments, frame->length);
    else forgot(0);
}

static inline void report(struct query *query, u32 rule, struct frame *frame) {
    struct log_event event = {.time = frame->now, .ifindex = query->ifindex, .rule = rule};
    event.src = query->src;
    event.dst = query->dst;
    event.src_port = query->src_port.low;
    event.dst_port = query->dst_port.low;
    event.proto = query->proto;
    event.direction = query->direction;
    count_hit(query->ifindex, rule, HIT_LOG, frame);
    if (logs.ringbuf_output(&event, sizeof(event), 0)) forgot(1);
}
