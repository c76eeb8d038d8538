// The agent's data plane: one program per role, shared by all ports and trunks of a node, per-port data in maps.
//
//   guest -> port_in -> bridge -> mux_out (adds the tag) -> trunk      bridge of one VLAN, `stub` is its trunk side
//   guest <- port_out <- bridge <- stub <- demux_in (takes the tag) <- trunk
//
// R_* are bascule.flows.reasons.Reason, the rest in capitals sizes of maps, all given as defines by the build, which puts the headers in place (source.py).
#define TC_OK 0
#define TC_DROP 2
#define TC_NEXT -1  // TC_ACT_UNSPEC: another filter behind it decides

#include "frame.h"
#include "count.h"
#include "ports.h"
#include "trunk.h"
#include "policy.h"
#include "conntrack.h"
#include "estimates.h"
#include "judge.h"

static inline u8 from_guest_ip(struct flow_key *key, struct port *port) {
    if (key->src_ip != port->ip) return R_SPOOFED_IP;
    if (broadcast(key->dst_mac) || key->dst_ip == 0xffffffff) return R_IP_BROADCAST;
    if ((key->dst_mac[0] & 1) || (key->dst_ip & 0xf0) == 0xe0) return R_IP_MULTICAST;
    return R_NONE;
}

// `data` + 42 has been read by parse; the verifier wants to see the check again.
static inline u8 from_guest_arp(struct __sk_buff *skb, struct flow_key *key, struct port *port) {
    u8 *data = (void *)(long)skb->data;
    if ((void *)data + 42 > (void *)(long)skb->data_end) return R_RUNT;
    if (!same_mac(data + 22, port->mac)) return R_ARP_SPOOF;
    if (key->src_ip != port->ip && key->src_ip != 0) return R_ARP_SPOOF;
    if (key->ethertype == ET_RARP && !same_mac(data + 32, port->mac)) return R_ARP_SPOOF;
    if ((key->dst_mac[0] & 1) && !broadcast(key->dst_mac)) return R_MULTICAST;
    return R_NONE;
}

static inline u8 other_ethertype(u16 ethertype) {
    if (ethertype == PROTO_8021Q || ethertype == PROTO_8021AD) return R_DOUBLE_TAG;
    return ethertype == ET_IPV6 ? R_IPV6 : R_ETHERTYPE;
}
// What a guest may send from its port.
static inline u8 check_in(struct __sk_buff *skb, struct flow_key *key, struct port *port, u8 tag, u8 header) {
    if (port->state == STATE_BLOCKED) return R_BLOCKED;
    if (tag) return tag;
    if (header == R_RUNT) return header;
    if (!same_mac(key->src_mac, port->mac)) return R_SPOOFED_MAC;
    if (header) return header;
    if (key->ethertype == ET_IPV4) return from_guest_ip(key, port);
    if (key->ethertype == ET_ARP || key->ethertype == ET_RARP) return from_guest_arp(skb, key, port);
    return other_ethertype(key->ethertype);
}

// What may reach a guest at its port.
static inline u8 check_out(struct __sk_buff *skb, struct flow_key *key, struct port *port, u8 header) {
    if (port->state == STATE_BLOCKED) return R_BLOCKED;
    if (port->state == STATE_HELD) return R_HELD;
    if (port->state == STATE_MOVED) return R_MOVED;
    if (skb->vlan_present) return R_TAGGED;
    if (header) return header;
    u8 mine = same_mac(key->dst_mac, port->mac), all = broadcast(key->dst_mac);
    if (key->ethertype != ET_IPV4 && key->ethertype != ET_ARP) return other_ethertype(key->ethertype);
    if (mine || (all && key->ethertype == ET_ARP)) return R_NONE;
    if (all) return R_IP_BROADCAST;
    if (key->dst_mac[0] & 1) return key->ethertype == ET_ARP ? R_MULTICAST : R_IP_MULTICAST;
    return R_NOT_FOR_THIS_MAC;
}

static inline void guest_spoke(struct flow_key *key, struct port *port) {
    u32 ifindex = key->ifindex;
    if (port->state == STATE_HELD) {
        port->state = LIVE;
        port->opened = bpf_ktime_get_ns();
        tell(ifindex, OPENED, port, key->ethertype, ifindex);
    } else if (port->state == STATE_MOVED) {
        // The guest speaks here: what looked like a move was another's frame, or the move failed and it came back.
        port->state = LIVE;
        tell(ifindex, RETURNED, port, key->ethertype, ifindex);
    }
}

int port_in(struct __sk_buff *skb) {
    u32 ifindex = skb->ifindex;
    struct flow_key key = {.ifindex = ifindex, .direction = EGRESS};
    struct frame frame = {};
    measure(skb, &frame);
    struct port *port = port_of(ifindex);
    u8 tag = untag(skb);
    u8 header = parse(skb, &key, &frame), reason = R_NO_PORT;
    if (port) {
        key.vlan = port->vlan;
        reason = check_in(skb, &key, port, tag, header);
        if (!reason) {
            guest_spoke(&key, port);
            if (key.ethertype == ET_IPV4) reason = judge(skb, &key, &frame, port);
        }
    }
    return finish(skb, &key, &frame, reason);
}

int port_out(struct __sk_buff *skb) {
    u32 ifindex = skb->ifindex;
    struct flow_key key = {.ifindex = ifindex, .direction = INGRESS};
    struct frame frame = {};
    measure(skb, &frame);
    struct port *port = port_of(ifindex);
    u8 header = parse(skb, &key, &frame), reason = R_NO_PORT;
    if (port) {
        key.vlan = port->vlan;
        reason = check_out(skb, &key, port, header);
        if (!reason && key.ethertype == ET_IPV4) reason = judge(skb, &key, &frame, port);
    }
    return finish(skb, &key, &frame, reason);
}
