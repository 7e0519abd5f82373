// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Fairlead's data plane. A packet travels: parse, flow rule, connection,
 * server, forward; it leaves with one verdict. The same code is an XDP
 * programme (native or generic) and a tc one.
 */
#include "connection.h"
#include "flow.h"
#include "forward.h"

/* what was decided of a packet */
struct outcome {
	enum verdict verdict;
	__u32 flow;	       /* index, 0: no flow claims it */
	struct choice *choice; /* of FORWARD */
	__u32 server;	       /* index in servers, of FORWARD_OLD */
};

INLINE struct choice *choice_of(__u32 director)
{
	struct director *d = &shared.directors[director & (DIRECTORS - 1)];

	return &d->choices[d->current & 1];
}

/* The table has something to say about the packet. */
INLINE __u32 ask_table(struct packet *p, struct choice *c, __u32 director)
{
	struct visit v = {
		.source = p->source,
		.destination = p->destination,
		.source_port = p->source_port,
		.destination_port = p->destination_port,
		.ack = p->ack,
		.generation = c->generation,
		.director = director,
		.server = c->server,
		.tcp_flags = p->tcp_flags,
		.choice_flags = c->flags,
		.payload = p->payload,
	};

	return visit_table(&v, bpf_jiffies64());
}

/* Is this the first packet since the clock ticked? It is looked at. */
INLINE int is_sample(void)
{
	__u64 now = bpf_jiffies64();

	if (likely(shared.table.sampled == now))
		return 0;
	shared.table.sampled = now;
	return 1;
}

/* Who-has a virtual IP that is ours to announce, asked by somebody else. */
INLINE void direct_arp(struct outcome *o, void *data, void *end)
{
	struct rule_set *set = &shared.rules.sets[shared.rules.current & 1];
	struct arp *arp = data + ETH_HLEN;
	struct vip *vip;
	__u32 director;

	if ((void *)(arp + 1) > end || arp->hardware != bpf_htons(1) ||
	    arp->protocol != ETHERTYPE_IPV4 || arp->hardware_length != 6 ||
	    arp->protocol_length != 4 || arp->operation != bpf_htons(1))
		return;
	__u32 slot = vip_slot(set, arp->target);

	vip = &set->vips[slot];
	/* an announcement of our own address is for the watcher above */
	if (vip->addr != arp->target || !vip->announce || arp->sender == arp->target)
		return;
	director = vip->rules ? set->rules[set->first[slot] & (RULES - 1)].director : vip->director;
	o->choice = choice_of(director);
	if (o->choice->mac1 == 0)
		return;
	write_arp_reply(data, arp, o->choice);
	o->verdict = VERDICT_ARP_REPLY;
}

/* Rules other than "everything to this address" decide. Returns the director, or -1. */
INLINE int ask_rules(struct outcome *o, struct packet *p, enum shape shape, __u32 slot, __u32 iface)
{
	struct offer offer = {
		.iface = iface,
		.source = p->source,
		.source_port = bpf_ntohs(p->source_port),
		.port = bpf_ntohs(p->destination_port),
		.protocol = p->protocol,
		.icmp_type = p->icmp_type,
		.has = shape >= SHAPE_PORTS	    ? ON_SOURCE_PORT | ON_PORT :
		       p->protocol == PROTOCOL_ICMP ? ON_ICMP_TYPE :
						      0,
		.later = shape == SHAPE_LATER,
	};
	__u32 at = shared.rules.current & 1;
	int hit = match_rules(at, slot, &offer);

	if (hit < 0)
		return -1;
	o->flow = shared.rules.sets[at].rules[hit & (RULES - 1)].flow;
	return shared.rules.sets[at].rules[hit & (RULES - 1)].director;
}

INLINE struct outcome direct(struct packet *p, void *data, void *end, __u32 iface)
{
	struct outcome o = {.verdict = VERDICT_PASS};
	struct ethernet *eth = data;
	struct ipv4 *ip = data + ETH_HLEN;
	enum shape shape = SHAPE_OTHER;
	int director;

	/* parse: is it for a virtual IP? */
	if (unlikely((void *)(ip + 1) > end))
		return o;
	if (unlikely(eth->type != ETHERTYPE_IPV4)) {
		if (eth->type == ETHERTYPE_ARP)
			direct_arp(&o, data, end);
		return o;
	}
	p->destination = ip->destination;
	__u32 slot = vip_slot(&shared.rules.sets[shared.rules.current & 1], ip->destination);
	struct vip *vip = &shared.rules.sets[shared.rules.current & 1].vips[slot];

	if (vip->addr != p->destination)
		return o;

	/* the common packet of an active/passive director */
	if (likely(is_common(data) && data + RESET_LENGTH <= end && !vip->rules)) {
		struct tcp *tcp = (void *)(ip + 1);

		o.choice = choice_of(vip->director);
		if (likely((o.choice->flags & (CHOICE_FORWARD | CHOICE_LOOKUP)) == CHOICE_FORWARD &&
			   is_for_us(data, o.choice) &&
			   (ip->protocol != PROTOCOL_TCP ||
			    (!(tcp->flags & (TCP_SYN | TCP_FIN | TCP_RST)) && !is_sample())))) {
			o.flow = vip->flow;
			o.verdict = VERDICT_FORWARD;
			return o;
		}
	}

	/* every other one: parsed with care, rule by rule */
	shape = parse_ipv4(p, data, end);
	if (vip->rules) {
		director = shape == SHAPE_MALFORMED ? -1 : ask_rules(&o, p, shape, slot, iface);
		if (director < 0)
			return o;
	} else {
		director = vip->director;
		o.flow = vip->flow;
	}
	o.choice = choice_of(director);
	if (!is_for_us(data, o.choice)) {
		o.flow = 0;
		return o;
	}
	if (shape == SHAPE_MALFORMED) {
		o.verdict = VERDICT_DROP_MALFORMED;
		return o;
	}
	if (!(o.choice->flags & CHOICE_FORWARD)) {
		o.verdict = VERDICT_DROP_NO_SERVER;
		return o;
	}
	o.verdict = VERDICT_FORWARD;
	if (shape == SHAPE_TCP) {
		__u32 answer = ask_table(p, o.choice, director);

		o.verdict = answer & 0xff;
		o.server = answer >> 8;
	}
	return o;
}

/* The one exit: carries the verdict's rewriting out and counts it. */
INLINE enum verdict finish(struct outcome *o, void *data, void *end, __u32 length)
{
	__u32 column = o->verdict, key;
	struct counter *n;

	if (likely(o->verdict == VERDICT_FORWARD)) {
		if (data + 12 > end)
			return VERDICT_DROP_MALFORMED;
		set_macs(data, o->choice->mac0, o->choice->mac1);
		column = COLUMN_SERVERS + (o->choice->server & (SERVERS_PER_DIRECTOR - 1));
	} else if (o->verdict == VERDICT_FORWARD_OLD) {
		struct server *s =
			&shared.servers[o->server & (DIRECTORS * SERVERS_PER_DIRECTOR - 1)];

		if (data + 12 > end)
			return VERDICT_DROP_MALFORMED;
		set_macs(data, s->mac0, s->mac1);
	}
	key = o->flow * COLUMNS + column;
	n = bpf_map_lookup_elem(&counters, &key);
	if (n) {
		n->packets++;
		n->bytes += length;
	}
	return o->verdict;
}

INLINE void copy_out(void *ctx, enum verdict verdict, __u32 iface, __u32 length)
{
	struct captured c = {.iface = iface, .length = length, .verdict = verdict};
	__u64 keep = length < 2048 ? length : 2048;

	if (capture && verdict != VERDICT_PASS)
		bpf_perf_event_output(ctx, &captures, keep << 32 | BPF_F_CURRENT_CPU, &c,
				      sizeof(c));
}

SEC("xdp.frags")
int fairlead_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 length = multi_buffer ? bpf_xdp_get_buff_len(ctx) : end - data;
	struct packet p = {};
	struct outcome o = direct(&p, data, end, ctx->ingress_ifindex);
	enum verdict verdict = finish(&o, data, end, length);

	if (unlikely(verdict == VERDICT_RESET)) {
		if (bpf_xdp_adjust_tail(ctx, (int)RESET_LENGTH - (int)length))
			return XDP_DROP;
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		if (write_reset(data, end, &p))
			return XDP_DROP;
		length = RESET_LENGTH;
	}
	copy_out(ctx, verdict, ctx->ingress_ifindex, length);
	if (verdict == VERDICT_PASS)
		return XDP_PASS;
	return verdict >= VERDICT_DROP_NO_SERVER ? XDP_DROP : XDP_TX;
}

#define TC_NEXT (-1) /* the next programme, in the end the stack */
#define TC_DROP 2

SEC("tcx/ingress")
int fairlead_tc(struct __sk_buff *skb)
{
	struct packet p = {};

	/* headers may lie in a fragment of a large frame */
	if (skb->data_end - skb->data < RESET_LENGTH && skb->len >= RESET_LENGTH)
		bpf_skb_pull_data(skb, RESET_LENGTH);

	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct outcome o = direct(&p, data, end, skb->ifindex);
	enum verdict verdict = finish(&o, data, end, skb->len);

	if (unlikely(verdict == VERDICT_RESET)) {
		if (bpf_skb_change_tail(skb, RESET_LENGTH, 0))
			return TC_DROP;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		if (write_reset(data, end, &p))
			return TC_DROP;
	}
	copy_out(skb, verdict, skb->ifindex, skb->len);
	if (verdict == VERDICT_PASS)
		return TC_NEXT;
	return verdict >= VERDICT_DROP_NO_SERVER ? TC_DROP : bpf_redirect(skb->ifindex, 0);
}

/* For the far end of a veth, which must have a programme for XDP_TX to arrive. */
SEC("xdp")
int fairlead_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* The kernel's helpers need a GPL-compatible programme. */
char _license[] SEC("license") = "Dual BSD/GPL";
