// The lab's top-of-rack switch: VLANs, a native VLAN, learning, flooding, ageing.
//
// This kernel has no VLAN-aware bridge, so the fabric brings its own switch. It shares no line with the programs of
// the agent (which demultiplex a trunk onto bridges), so that an error made twice cannot hide itself: what leaves a
// node wrongly tagged is seen here. Inside the switch every frame carries its VLAN as a tag; sw_out takes it off
// where the VLAN is the port's native one.

#define TC_ACT_OK 0
#define TC_ACT_SHOT 2
#define DOT1Q 0x0081 /* ETH_P_8021Q in network order */
#define VID_MASK 0xfff
#define MAX_PORTS 64
#define AGEING_NS 300000000000ULL
#define REFRESH_NS 1000000000ULL

enum cause { NO_PORT = 1, TAG_ON_ACCESS, NOT_8021Q, TAG_BELOW_TAG, VLAN_NOT_ALLOWED, SHORT, SAME_PORT, LINK_LOCAL };

struct port { u16 native; u16 trunk; };
struct member { u32 ifindex; u32 vid; };
struct count { u64 rx_packets; u64 rx_bytes; u64 tx_packets; u64 tx_bytes; };
struct lost { u32 ifindex; u32 cause; };
struct station { u8 mac[6]; u16 vid; };
struct place { u32 ifindex; u32 unused; u64 seen; };

BPF_HASH(sw_ports, u32, struct port, MAX_PORTS);
BPF_HASH(sw_allowed, struct member, struct count, 4096);
BPF_HASH(sw_lost, struct lost, u64, 1024);
BPF_TABLE("lru_hash", struct station, struct place, sw_stations, 16384);
BPF_ARRAY(sw_flood, u32, MAX_PORTS);

static inline int drop(u32 ifindex, u32 cause) {
  struct lost key = {ifindex, cause};
  u64 zero = 0, *n = sw_lost.lookup_or_try_init(&key, &zero);
  if (n) __sync_fetch_and_add(n, 1);
  return TC_ACT_SHOT;
}

static inline u64 frames(struct __sk_buff *skb) { return skb->gso_segs ? skb->gso_segs : 1; }

// A switch learns from every frame; writing the map only once a second keeps that cheap.
static inline void learn(struct station *from, u32 ifindex, u64 now) {
  struct place *old = sw_stations.lookup(from);
  if (old && old->ifindex == ifindex && now - old->seen < REFRESH_NS) return;
  struct place here = {ifindex, 0, now};
  sw_stations.update(from, &here);
}

int sw_in(struct __sk_buff *skb) {
  u32 in = skb->ifindex;
  struct port *port = sw_ports.lookup(&in);
  if (!port) return drop(in, NO_PORT);

  u32 vid = port->native;
  if (skb->vlan_present) {
    if (!port->trunk) return drop(in, TAG_ON_ACCESS);
    if (skb->vlan_proto != DOT1Q) return drop(in, NOT_8021Q);
    vid = skb->vlan_tci & VID_MASK;
    if (!vid) { // a priority tag belongs to the native VLAN; what it hides must be no tag
      if (bpf_skb_vlan_pop(skb) || skb->vlan_present) return drop(in, TAG_BELOW_TAG);
      vid = port->native;
    }
  }
  struct member key = {in, vid};
  struct count *count = vid ? sw_allowed.lookup(&key) : 0;
  if (!count) return drop(in, VLAN_NOT_ALLOWED);
  __sync_fetch_and_add(&count->rx_packets, frames(skb));
  __sync_fetch_and_add(&count->rx_bytes, skb->len);
  if (!skb->vlan_present && bpf_skb_vlan_push(skb, DOT1Q, vid)) return drop(in, SHORT);

  u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
  if (data + 14 > end) return drop(in, SHORT);
  struct station to = {}, from = {};
  __builtin_memcpy(to.mac, data, 6);
  __builtin_memcpy(from.mac, data + 6, 6);
  to.vid = from.vid = vid;
  if (to.mac[0] == 0x01 && to.mac[1] == 0x80 && to.mac[2] == 0xc2 && !to.mac[3] && !to.mac[4] && to.mac[5] < 16)
    return drop(in, LINK_LOCAL);
  u64 now = bpf_ktime_get_ns();
  if (!(from.mac[0] & 1)) learn(&from, in, now);

  if (!(to.mac[0] & 1)) {
    struct place *known = sw_stations.lookup(&to);
    if (known && now - known->seen < AGEING_NS) {
      u32 out = known->ifindex;
      return out == in ? drop(in, SAME_PORT) : bpf_redirect(out, 0);
    }
  }
  for (u32 i = 0; i < MAX_PORTS; i++) {
    u32 slot = i, *out = sw_flood.lookup(&slot);
    if (!out || !*out) break;
    struct member there = {*out, vid};
    if (*out != in && sw_allowed.lookup(&there)) bpf_clone_redirect(skb, *out, 0);
  }
  return TC_ACT_SHOT;
}

int sw_out(struct __sk_buff *skb) {
  u32 out = skb->ifindex;
  struct port *port = sw_ports.lookup(&out);
  if (!port || !skb->vlan_present) return drop(out, NO_PORT);
  u32 vid = skb->vlan_tci & VID_MASK;
  struct member key = {out, vid};
  struct count *count = sw_allowed.lookup(&key);
  if (!count) return drop(out, VLAN_NOT_ALLOWED);
  if (vid == port->native && (bpf_skb_vlan_pop(skb) || skb->vlan_present)) return drop(out, TAG_BELOW_TAG);
  __sync_fetch_and_add(&count->tx_packets, frames(skb));
  __sync_fetch_and_add(&count->tx_bytes, skb->len);
  return TC_ACT_OK;
}
