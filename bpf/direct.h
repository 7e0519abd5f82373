/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What becomes of a packet: parsed, matched to a flow, looked up. Decides, and
 * writes nothing to the frame, but for an ARP reply.
 */
#ifndef FAIRLEAD_DIRECT_H
#define FAIRLEAD_DIRECT_H

#include "connection.h"
#include "flow.h"
#include "forward.h"
#include "tunnel.h"

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

/* Is this the first packet since the clock ticked, or is one due? It is looked at. */
INLINE int is_sample(void)
{
	__u64 now = bpf_jiffies64();

	if (likely(shared.sampled == now))
		return 0;
	if (shared.due)
		shared.due--;
	if (!shared.due)
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
	if (unlikely((c->flags & (CHOICE_FORWARD | CHOICE_CAREFUL | CHOICE_REMOTE)) !=
			     CHOICE_FORWARD ||
		     !is_for_us(data, c)))
		return 0;
	if (ip->protocol == PROTOCOL_TCP &&
	    (tcp->flags & (TCP_SYN | TCP_FIN | TCP_RST) || is_sample()))
		return 0;
	return c;
}

/* A packet that came here for its rules, or for its server, alone may be as common as any. */
INLINE int needs_table(struct outcome *o, struct packet *p)
{
	return !(o->listed || o->choice->flags & CHOICE_REMOTE) ||
	       o->choice->flags & CHOICE_CAREFUL || p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST) ||
	       is_sample();
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

#endif
