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
	struct choice *choice; /* of its director */
	__u32 settings, director;
	__u32 listed;	/* a list decided: the packet is perhaps a common one */
	__u32 server;	/* of FORWARD its index in the director, of FORWARD_OLD in servers */
	__u32 sighting; /* what the daemon is to be told, plus 1 */
};

INLINE struct choice *choice_of(__u32 settings, __u32 director)
{
	return &shared.settings[settings & 1].choices[director & (DIRECTORS - 1)];
}

/* The table has something to say about the packet. */
INLINE void ask_table(struct outcome *o, struct packet *p)
{
	struct visit v = {
		.source = p->source,
		.destination = p->destination,
		.source_port = p->source_port,
		.destination_port = p->destination_port,
		.ack = p->ack,
		.seq = p->seq,
		.payload = p->payload,
		.generation = o->choice->generation,
		.director = o->director,
		.server = o->choice->server,
		.tcp_flags = p->tcp_flags,
		.choice_flags = o->choice->flags,
		.settings = o->settings,
	};
	__u32 answer = visit_table(&v, bpf_jiffies64());

	o->verdict = ANSWER_VERDICT(answer);
	o->server = ANSWER_SERVER(answer);
	o->sighting = answer >> 24;
}

/* Its director is on hold: a SYN is kept, the rest is dropped silently. */
INLINE void hold(struct outcome *o, struct packet *p, enum shape shape)
{
	o->verdict = VERDICT_DROP_HOLD;
	if (shape == SHAPE_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN) {
		o->verdict = VERDICT_HELD;
		o->sighting = SIGHTING_HELD + 1;
	}
}

/*
 * A balanced director's packet that is not TCP goes by its addresses, so that
 * fragments stay together, and to the server of its client's template, if that
 * director has such. Later fragments of TCP have no ports, and cannot be
 * told whose they are.
 */
INLINE void spread(struct outcome *o, struct packet *p, enum shape shape)
{
	o->server = NO_SERVER;
	if (p->protocol != PROTOCOL_TCP || shape != SHAPE_LATER) {
		o->server = templated(o->settings, o->director, p->source);
		if (o->server == NO_SERVER)
			o->server = make_template(o->settings, o->director, p->source,
						  placed_share(o->settings, o->director, p->source,
							       p->destination, 0));
	}
	if (o->server == NO_SERVER)
		o->verdict = VERDICT_DROP_NO_SERVER;
}

/* Is this the first packet since the clock ticked? It is looked at. */
INLINE int is_sample(void)
{
	__u64 now = bpf_jiffies64();

	if (likely(shared.sampled == now))
		return 0;
	shared.sampled = now;
	return 1;
}

/* Who-has a virtual IP that is ours to announce, asked by somebody else. */
INLINE void direct_arp(struct outcome *o, void *data, void *end)
{
	__u32 settings = current_settings();
	struct flow_set *set = flows_of(settings);
	struct arp *arp = data + ETH_HLEN;
	struct vip *vip;
	__u32 slot;

	if ((void *)(arp + 1) > end || arp->hardware != bpf_htons(1) ||
	    arp->protocol != ETHERTYPE_IPV4 || arp->hardware_length != 6 ||
	    arp->protocol_length != 4 || arp->operation != bpf_htons(1))
		return;
	slot = vip_slot(set, arp->target);
	vip = &set->vips[slot & (VIP_SLOTS - 1)];
	/* an announcement of our own address is for the watcher above */
	if (slot == NO_SLOT || !(vip->flags & VIP_ANNOUNCE) || arp->sender == arp->target)
		return;
	o->choice = choice_of(settings, vip->director);
	if (o->choice->mac1 == 0)
		return;
	write_arp_reply(data, arp, o->choice);
	o->verdict = VERDICT_ARP_REPLY;
}

INLINE int is_claimed(struct outcome *o, __u32 flow, __u32 director)
{
	o->flow = flow;
	o->director = director;
	return 1;
}

/* The lists decide. True: a flow hands the packet to its director. */
INLINE int ask_lists(struct outcome *o, struct packet *p, enum shape shape, struct service *s,
		     __u32 slot, __u32 iface)
{
	struct offer offer = {
		.iface = iface,
		.source = p->source,
		.destination = p->destination,
		.source_port = bpf_ntohs(p->source_port),
		.port = bpf_ntohs(p->destination_port),
		.protocol = p->protocol,
		.icmp_type = p->icmp_type,
		.lacks = shape >= SHAPE_PORTS	      ? ON_ICMP_TYPE :
			 p->protocol == PROTOCOL_ICMP ? ON_PORTS :
							ON_PORTS | ON_ICMP_TYPE,
		.hidden = shape == SHAPE_LATER || shape == SHAPE_MALFORMED ?
				  ON_PORTS | ON_ICMP_TYPE :
				  0,
	};
	int place = match_rules(o->settings, &offer, s, slot);
	struct rule_lists *l = lists_of(o->settings);
	struct rule *r;

	if (place == NO_RULE || !l)
		return 0;
	r = rule_at(l, place);
	o->listed = 1;
	if (r->policy == POLICY_DIRECTOR)
		return is_claimed(o, r->flow, r->director);
	o->flow = r->flow;
	o->verdict = r->policy == POLICY_DENY ? VERDICT_DENY : VERDICT_PERMIT;
	return 0;
}

/* Which flow claims the packet? True: it hands it to its director. */
INLINE int ask_flows(struct outcome *o, struct packet *p, enum shape shape, __u32 slot, __u32 iface)
{
	struct flow_set *set = flows_of(o->settings);
	int later = shape == SHAPE_LATER || shape == SHAPE_MALFORMED;
	struct service *s = 0;

	if (slot != NO_SLOT) {
		struct vip *vip = &set->vips[slot & (VIP_SLOTS - 1)];
		int services = vip->flags & VIP_SERVICES;

		if (vip->flags & VIP_OWN)
			return 0;
		if (services && shape >= SHAPE_PORTS)
			s = service_of(set, p->destination, p->protocol, p->destination_port);
		if (s && is_direct(set, s->flags, s->flow, iface))
			return is_claimed(o, s->flow, s->director);
		if (!s && !(services && later) && is_direct(set, vip->flags, vip->flow, iface))
			return is_claimed(o, vip->flow, vip->director);
	}
	return ask_lists(o, p, shape, s, slot, iface);
}

/*
 * The packet that makes up nearly all traffic: in the middle of a connection, no
 * options, no fragment, to a destination or a service that goes to one director
 * whatever else the packet is. Returns its choice; 0: it is another one. This path is
 * kept free of everything that costs a nanosecond (docs/performance.md).
 */
INLINE struct choice *common(void *data, void *end, void *ctx, int xdp, __u32 *flow)
{
	__u32 settings = current_settings(), slot, flags, director, iface = 0;
	struct flow_set *set = flows_of(settings);
	struct ethernet *eth = data;
	struct ipv4 *ip = data + ETH_HLEN;
	struct tcp *tcp = (void *)(ip + 1);
	struct service *s;
	struct choice *c;
	struct vip *vip;

	if (unlikely((void *)(tcp + 1) > end || eth->type != ETHERTYPE_IPV4 || !is_common(data) ||
		     bpf_ntohs(ip->length) < sizeof(*ip) + sizeof(*tcp)))
		return 0;
	slot = vip_slot(set, ip->destination);
	if (slot == NO_SLOT)
		return 0;
	vip = &set->vips[slot & (VIP_SLOTS - 1)];
	flags = vip->flags;
	director = vip->director;
	*flow = vip->flow;
	if (flags & VIP_SERVICES &&
	    (ip->protocol == PROTOCOL_TCP || ip->protocol == PROTOCOL_UDP)) {
		s = service_of(set, ip->destination, ip->protocol, tcp->destination);
		if (s) {
			flags = s->flags;
			director = s->director;
			*flow = s->flow;
		}
	}
	if (flags & VIP_ON_IFACE)
		iface = xdp ? ((struct xdp_md *)ctx)->ingress_ifindex :
			      ((struct __sk_buff *)ctx)->ifindex;
	if (!is_direct(set, flags, *flow, iface))
		return 0;
	c = choice_of(settings, director);
	if (unlikely((c->flags & (CHOICE_FORWARD | CHOICE_CAREFUL)) != CHOICE_FORWARD ||
		     !is_for_us(data, c)))
		return 0;
	if (ip->protocol == PROTOCOL_TCP &&
	    (tcp->flags & (TCP_SYN | TCP_FIN | TCP_RST) || is_sample()))
		return 0;
	return c;
}

/* A packet that came here for its rules alone may be as common as any. */
INLINE int needs_table(struct outcome *o, struct packet *p)
{
	return !o->listed || o->choice->flags & CHOICE_CAREFUL ||
	       p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST) || is_sample();
}

INLINE struct outcome direct(struct packet *p, void *data, void *end, __u32 iface)
{
	struct outcome o = {.verdict = VERDICT_PASS};
	struct ethernet *eth = data;
	struct ipv4 *ip = data + ETH_HLEN;
	enum shape shape;
	__u32 slot;

	/* parse: can a rule claim it? */
	if (unlikely((void *)(ip + 1) > end))
		return o;
	if (unlikely(eth->type != ETHERTYPE_IPV4)) {
		if (eth->type == ETHERTYPE_ARP)
			direct_arp(&o, data, end);
		return o;
	}
	o.settings = current_settings();
	p->destination = ip->destination;
	slot = vip_slot(flows_of(o.settings), ip->destination);
	if (slot == NO_SLOT && !flows_of(o.settings)->general.number)
		return o;

	/* parsed with care, rule by rule */
	shape = parse_ipv4(p, data, end);
	if (!ask_flows(&o, p, shape, slot, iface))
		return o;
	o.choice = choice_of(o.settings, o.director);
	o.server = o.choice->server;
	if (!is_for_us(data, o.choice)) {
		o.flow = 0;
		return o;
	}
	if (shape == SHAPE_MALFORMED) {
		o.verdict = VERDICT_DROP_MALFORMED;
		return o;
	}
	if (o.choice->flags & CHOICE_HOLD) {
		hold(&o, p, shape);
		return o;
	}
	if (!(o.choice->flags & CHOICE_FORWARD) || o.choice->flags & CHOICE_REJECT) {
		o.verdict = VERDICT_DROP_NO_SERVER;
		return o;
	}
	o.verdict = VERDICT_FORWARD;
	if (shape == SHAPE_TCP) {
		if (needs_table(&o, p))
			ask_table(&o, p);
	} else if (o.choice->flags & CHOICE_BALANCED) {
		spread(&o, p, shape);
	}
	return o;
}

INLINE void count(__u32 flow, __u32 column, __u32 length)
{
	struct row *row = dry_run ? 0 : bpf_map_lookup_elem(&counters, &flow);

	if (row) {
		struct counter *n = &row->columns[column & (COLUMNS - 1)];

		n->packets++;
		n->bytes += length;
	}
}

/* the column of packets that were forwarded to a server */
INLINE __u32 server_column(__u32 server)
{
	return COLUMN_SERVERS + (server & (SERVERS_PER_DIRECTOR - 1));
}

/* Leaves what was decided. */
INLINE void explain(struct outcome *o)
{
	explanation.verdict = o->verdict;
	explanation.sighting = o->sighting;
	explanation.server = o->server;
	explanation.flow = o->flow;
	explanation.director = o->director;
	if (explanation.chooser == CHOSEN_BY_NOBODY && o->verdict == VERDICT_FORWARD)
		explanation.chooser = CHOSEN_BY_DIRECTOR;
}

/*
 * Tells the daemon what it should know, rewrites what is forwarded, and counts
 * the packet under its verdict.
 */
INLINE enum verdict finish(struct outcome *o, struct packet *p, void *data, void *end, __u32 iface,
			   __u32 length)
{
	__u32 column, balanced = o->choice && o->choice->flags & CHOICE_BALANCED;
	struct server *s = 0;

	if (unlikely(o->sighting) &&
	    !hand_over(o->sighting - 1, p, o->director, o->server, iface, data, end) &&
	    o->verdict == VERDICT_HELD)
		/* nobody could keep it: on hold it may go nowhere, else where it would have gone */
		o->verdict =
			o->sighting == SIGHTING_RECONNECT + 1 ? VERDICT_FORWARD : VERDICT_DROP_HOLD;
	if (o->verdict == VERDICT_DROP_NO_SERVER && o->choice && o->choice->flags & CHOICE_REJECT &&
	    can_refuse(p))
		o->verdict = VERDICT_REJECT;
	if (o->verdict == VERDICT_FORWARD && balanced)
		s = server_of(o->settings, o->director, o->server);
	else if (o->verdict == VERDICT_FORWARD_OLD)
		s = server_of(o->settings, 0, 0) +
		    (o->server & (DIRECTORS * SERVERS_PER_DIRECTOR - 1));
	if (s && !s->mac0)
		o->verdict = VERDICT_DROP_NO_SERVER;

	column = o->verdict;
	if (o->verdict == VERDICT_FORWARD)
		column = server_column(o->server);
	/* the bounds were checked before, which the verifier has forgotten */
	if (data + 12 > end)
		s = 0;
	else if (o->verdict == VERDICT_FORWARD && !balanced)
		set_macs(data, o->choice->mac0, o->choice->mac1);
	else if (s && s->mac0)
		set_macs(data, s->mac0, s->mac1);
	count(o->flow, column, length);
	if (dry_run)
		explain(o);
	return o->verdict;
}

INLINE void copy_out(void *ctx, enum verdict verdict, __u32 iface, __u32 length)
{
	struct captured c = {.iface = iface, .length = length, .verdict = verdict};
	__u64 keep = length < 2048 ? length : 2048;

	if (capture && verdict > VERDICT_PERMIT)
		bpf_perf_event_output(ctx, &captures, keep << 32 | BPF_F_CURRENT_CPU, &c,
				      sizeof(c));
}

/* The length of a frame; one beyond a page's half may go on in other buffers. */
INLINE __u32 xdp_length(struct xdp_md *ctx, void *data, void *end)
{
	if (multi_buffer && unlikely(end - data > 2047))
		return bpf_xdp_get_buff_len(ctx);
	return end - data;
}

/* A packet that is not common: parsed with care, and looked up. */
/*
 * Turns the frame into the answer of the director itself. A function of its own, so that
 * the table's functions below careful_xdp have room: all frames of a chain of calls
 * together may take 512 bytes, each rounded up to 32 on older kernels.
 */
static __attribute__((noinline)) int respond_xdp(struct xdp_md *ctx, struct packet *p, __u32 answer,
						 __u32 length)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct quoted q = {};

	if (answer == UNREACHABLE_LENGTH && quote(&q, data, end))
		return 1;
	if (bpf_xdp_adjust_tail(ctx, (int)answer - (int)length))
		return 1;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	return write_answer(data, end, p, &q, answer);
}

static __attribute__((noinline)) int careful_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 length = multi_buffer ? bpf_xdp_get_buff_len(ctx) : end - data;
	__u32 iface = ctx->ingress_ifindex;
	struct packet p = {};
	struct outcome o = direct(&p, data, end, iface);
	enum verdict verdict = finish(&o, &p, data, end, iface, length);

	__u32 answer = answer_length(verdict, &p);

	if (answer) {
		if (respond_xdp(ctx, &p, answer, length))
			return XDP_DROP;
		length = answer;
	}
	copy_out(ctx, verdict, iface, length);
	if (verdict <= VERDICT_PERMIT)
		return XDP_PASS;
	return verdict >= VERDICT_DENY ? XDP_DROP : XDP_TX;
}

SEC("xdp.frags")
int fairlead_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct choice *choice;
	__u32 length, flow;

	choice = dry_run ? 0 : common(data, end, ctx, 1, &flow);
	if (unlikely(!choice))
		return careful_xdp(ctx);
	set_macs(data, choice->mac0, choice->mac1);
	length = xdp_length(ctx, data, end);
	count(flow, server_column(choice->server), length);
	copy_out(ctx, VERDICT_FORWARD, ctx->ingress_ifindex, length);
	return XDP_TX;
}

#define TC_NEXT (-1) /* the next programme, in the end the stack */
#define TC_DROP 2

static __attribute__((noinline)) int respond_tc(struct __sk_buff *skb, struct packet *p,
						__u32 answer)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct quoted q = {};

	if (answer == UNREACHABLE_LENGTH && quote(&q, data, end))
		return 1;
	if (bpf_skb_change_tail(skb, answer, 0))
		return 1;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	return write_answer(data, end, p, &q, answer);
}

static __attribute__((noinline)) int careful_tc(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 iface = skb->ifindex;
	struct packet p = {};
	struct outcome o = direct(&p, data, end, iface);
	enum verdict verdict = finish(&o, &p, data, end, iface, skb->len);

	__u32 answer = answer_length(verdict, &p);

	if (answer && respond_tc(skb, &p, answer))
		return TC_DROP;
	copy_out(skb, verdict, iface, skb->len);
	if (verdict <= VERDICT_PERMIT)
		return TC_NEXT;
	return verdict >= VERDICT_DENY ? TC_DROP : bpf_redirect(iface, 0);
}

SEC("tcx/ingress")
int fairlead_tc(struct __sk_buff *skb)
{
	__u32 flow, iface = skb->ifindex;

	/* headers may lie in a fragment of a large frame */
	if (skb->data_end - skb->data < RESET_LENGTH && skb->len >= RESET_LENGTH)
		bpf_skb_pull_data(skb, RESET_LENGTH);

	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct choice *choice = dry_run ? 0 : common(data, end, skb, 0, &flow);

	if (unlikely(!choice))
		return careful_tc(skb);
	set_macs(data, choice->mac0, choice->mac1);
	count(flow, server_column(choice->server), skb->len);
	copy_out(skb, VERDICT_FORWARD, iface, skb->len);
	return bpf_redirect(iface, 0);
}

/* Tells user space the connection table's time. */
SEC("xdp")
int fairlead_tick(struct xdp_md *ctx)
{
	return bpf_jiffies64() >> tick_shift & 0xff;
}

/* For the far end of a veth, which must have a programme for XDP_TX to arrive. */
SEC("xdp")
int fairlead_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* The kernel's helpers need a GPL-compatible programme. */
char _license[] SEC("license") = "Dual BSD/GPL";
