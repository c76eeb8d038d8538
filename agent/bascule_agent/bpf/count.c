// Counting beside a data plane of another owner (mode observe, --count-flows): every frame is counted once and left as
// it is; TC_ACT_UNSPEC on every path hands it to whatever program or filter stands behind this one.
//
// The records are port.c's, with its maps; no verdict is ours to give, so the agent writes `unknown` into them
// (flows/count.py).
#define TC_OK 0
#define TC_DROP 2
#define TC_NEXT -1

#include "frame.h"
#include "count.h"

static inline int look(struct __sk_buff *skb, u8 direction) {
    struct flow_key key = {.ifindex = skb->ifindex, .direction = direction};
    struct frame frame = {};
    measure(skb, &frame);
    if (skb->vlan_present) key.vlan = skb->vlan_tci & 0xfff;
    parse(skb, &key, &frame);
    settle(&key, &frame, R_NONE);
    return TC_NEXT;
}

// The node's side of a workload's link: what comes in there, the workload sent.
int count_in(struct __sk_buff *skb) { return look(skb, EGRESS); }
int count_out(struct __sk_buff *skb) { return look(skb, INGRESS); }
