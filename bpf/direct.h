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
#include "known.h"
#include "tunnel.h"

/* what was decided of a packet */
struct outcome {
	struct choice *choice; /* of its director */
	enum verdict verdict;
	__u32 server; /* of FORWARD its index in the director, of FORWARD_OLD in servers */
	__u16 flow;   /* index, 0: no flow claims it */
	__u8 settings, director;
	__u8 listed;   /* a list decided: the packet is perhaps a common one */
	__u8 sighting; /* what the daemon is to be told, plus 1 */
};

INLINE struct choice *choice_of(__u32 settings, __u32 director)
{
	return &shared.settings[settings & 1].choices[director & (DIRECTORS - 1)];
}

/* The table has something to say about the packet. */
INLINE void ask_table(struct outcome *o, struct packet *p)
{
	__u32 answer;

	p->generation = o->choice->generation;
	p->director = o->director;
	p->server = o->choice->server;
	p->choice_flags = o->choice->flags;
	answer = visit_table(p, bpf_jiffies64());

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
		o->server = templated(o->settings, o->director, p);
		if (o->server == NO_SERVER)
			o->server = make_template(o->settings, o->director, p,
						  placed_share(o->settings, o->director, p, 0));
	}
	if (o->server == NO_SERVER)
		o->verdict = VERDICT_DROP_NO_SERVER;
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

/*
 * The same of IPv6: a valid solicitation (RFC 4861, 7.1.1) of an address that is ours to
 * announce. It may be a probe of somebody who is about to take it (RFC 4862): the answer
 * to all is what keeps him from it. The packet becomes the answer's: from the target.
 */
static __attribute__((noinline)) int direct_solicitation(struct outcome *o, struct packet *p,
							 void *data, void *end)
{
	struct rule_lists *l = lists_of(o->settings);
	struct ipv6 *ip = data + ETH_HLEN;
	struct neighbour *n = (void *)(ip + 1);
	struct vip *vip;
	__u32 slot;

	if (!l || !is_solicitation(p, ip, n, end))
		return 0;
	set_ipv6(&p->source, ip->source);
	set_ipv6(&p->destination, n->target);
	slot = vip6_slot(flows_of(o->settings), l, &p->destination);
	if (slot == NO_SLOT)
		return 0;
	vip = &l->vips6[slot & (VIP6_SLOTS - 1)].vip;
	if (!(vip->flags & VIP_ANNOUNCE) || choice_of(o->settings, vip->director)->mac1 == 0)
		return 0;
	o->choice = choice_of(o->settings, vip->director);
	/* the answer's sender, once they are exchanged */
	set_destination(data, o->choice);
	o->verdict = VERDICT_ARP_REPLY;
	return 0;
}

INLINE int is_claimed(struct outcome *o, __u32 flow, __u32 director)
{
	o->flow = flow;
	o->director = director;
	return 1;
}

/* The lists decide. True: a flow hands the packet to its director. */
INLINE int ask_lists(struct outcome *o, struct packet *p, enum shape shape, struct service *s,
		     __u32 slot)
{
	int place;
	struct rule_lists *l = lists_of(o->settings);
	struct rule *r;

	p->lacks = shape >= SHAPE_PORTS		? ON_ICMP_TYPE :
		   p->protocol == PROTOCOL_ICMP ? ON_PORTS :
						  ON_PORTS | ON_ICMP_TYPE;
	if (shape == SHAPE_LATER || shape == SHAPE_MALFORMED)
		p->hidden |= ON_PORTS | ON_ICMP_TYPE;
	place = match_rules(o->settings, p, s, slot);
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

/* What is known of a destination: where its slot, its list and its services are. */
struct place {
	struct vip *vip; /* 0: no rule names it */
	__u32 slot;	 /* in of_vip; or NO_SLOT */
	__be32 addr;	 /* as its services have it */
	__u8 of_six;	 /* what their protocol has besides */
};

INLINE void find_place(struct place *at, __u32 settings, struct packet *p)
{
	struct flow_set *set = flows_of(settings);
	struct rule_lists *l;

	at->slot = NO_SLOT;
	if (!p->six) {
		at->addr = p->destination.words[3];
		at->slot = vip_slot(set, at->addr);
		if (at->slot != NO_SLOT)
			at->vip = &set->vips[at->slot & (VIP_SLOTS - 1)];
		return;
	}
	l = lists_of(settings);
	if (!l)
		return;
	at->addr = vip6_slot(set, l, &p->destination);
	if (at->addr == NO_SLOT)
		return;
	at->vip = &l->vips6[at->addr & (VIP6_SLOTS - 1)].vip;
	at->slot = VIP_SLOTS + at->addr;
	at->of_six = SERVICE_OF_SIX;
}

/* Which flow claims the packet? True: it hands it to its director. */
INLINE int ask_flows(struct outcome *o, struct packet *p, enum shape shape, struct place *at)
{
	struct flow_set *set = flows_of(o->settings);
	int later = shape == SHAPE_LATER || shape == SHAPE_MALFORMED;
	struct vip *vip = at->vip;
	struct service *s = 0;

	if (vip) {
		int services = vip->flags & VIP_SERVICES;

		if (vip->flags & VIP_OWN)
			return 0;
		if (services && shape >= SHAPE_PORTS)
			s = service_of(set, at->addr, p->protocol | at->of_six,
				       p->destination_port);
		if (s && is_direct(set, s->flags, s->flow, p->iface))
			return is_claimed(o, s->flow, s->director);
		if (!s && !(services && later) && is_direct(set, vip->flags, vip->flow, p->iface))
			return is_claimed(o, vip->flow, vip->director);
	}
	return ask_lists(o, p, shape, s, at->slot);
}

/*
 * The end of the common way, of both families: to its server if nothing stands in the
 * way. 0: something does. Of IPv4 there is the end of the packet: a connection that the
 * table has to be asked for may be known to it.
 */
INLINE struct next_hop *common_choice(void *data, void *ctx, int xdp, __u32 settings,
				      struct vip *vip, __be32 addr, __u32 of_six, void *end,
				      __u8 protocol, struct tcp *tcp, __u32 *flow, __u32 *server)
{
	__u32 flags = vip->flags, director = vip->director, iface = 0;
	struct flow_set *set = flows_of(settings);
	struct service *s;
	struct choice *c;

	*flow = vip->flow;
	if (flags & VIP_SERVICES && (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP)) {
		s = service_of(set, addr, protocol | of_six, tcp->destination);
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
		     CHOICE_FORWARD))
		return end ? known_hop(data, end, settings << 16 | director, server) : 0;
	if (unlikely(!is_for_us(data, c)))
		return 0;
	if (protocol == PROTOCOL_TCP && (tcp->flags & (TCP_SYN | TCP_FIN | TCP_RST) || is_sample()))
		return 0;
	*server = c->server;
	return (struct next_hop *)c;
}

/*
 * The packet that makes up nearly all traffic: in the middle of a connection, no
 * options, no fragment, to a destination or a service that goes to one director
 * whatever else the packet is. Returns its server's MACs; 0: it is another one. This path is
 * kept free of everything that costs a nanosecond (docs/performance.md).
 */
INLINE struct next_hop *common(void *data, void *end, void *ctx, int xdp, __u32 *flow,
			       __u32 *server)
{
	__u32 settings = current_settings(), slot;
	struct flow_set *set = flows_of(settings);
	struct ethernet *eth = data;
	struct ipv4 *ip = data + ETH_HLEN;
	struct tcp *tcp = (void *)(ip + 1);

	if (unlikely((void *)(tcp + 1) > end || eth->type != ETHERTYPE_IPV4 || !is_common(data) ||
		     bpf_ntohs(ip->length) < sizeof(*ip) + sizeof(*tcp)))
		return 0;
	slot = vip_slot(set, ip->destination);
	if (slot == NO_SLOT)
		return 0;
	return common_choice(data, ctx, xdp, settings, &set->vips[slot & (VIP_SLOTS - 1)],
			     ip->destination, 0, end, ip->protocol, tcp, flow, server);
}

/* Can it be such a packet of IPv6? */
INLINE int is_six(void *data, void *end)
{
	return data + RESET6_LENGTH <= end && ((struct ethernet *)data)->type == ETHERTYPE_IPV6;
}

/* The same of IPv6: no extension headers, and with ports. */
INLINE struct next_hop *common_six(void *data, void *end, void *ctx, int xdp, __u32 *flow,
				   __u32 *server)
{
	__u32 settings = current_settings(), slot;
	struct ipv6 *ip = data + ETH_HLEN;
	struct tcp *tcp = (void *)(ip + 1);
	struct rule_lists *l = lists_of(settings);

	if (!l || (void *)(tcp + 1) > end || (*(__u8 *)ip & 0xf0) != 0x60 ||
	    bpf_ntohs(ip->length) < sizeof(*tcp) ||
	    (ip->next != PROTOCOL_TCP && ip->next != PROTOCOL_UDP))
		return 0;
	slot = vip6_slot(flows_of(settings), l, (union address *)ip->destination);
	if (slot == NO_SLOT)
		return 0;
	return common_choice(data, ctx, xdp, settings, &l->vips6[slot & (VIP6_SLOTS - 1)].vip, slot,
			     SERVICE_OF_SIX, 0, ip->next, tcp, flow, server);
}

/* A packet that came here for its rules, or for its server, alone may be as common as any. */
INLINE int needs_table(struct outcome *o, struct packet *p)
{
	return !(o->listed || o->choice->flags & CHOICE_REMOTE) ||
	       o->choice->flags & CHOICE_CAREFUL || p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST) ||
	       is_sample();
}

/* Takes the destination, which is all that most rules ask for. False: it is no IP. */
INLINE int take_destination(struct packet *p, void *data, void *end)
{
	struct ethernet *eth = data;
	struct ipv4 *four = data + ETH_HLEN;
	struct ipv6 *six = data + ETH_HLEN;

	if (eth->type == ETHERTYPE_IPV4) {
		set_ipv4(&p->destination, four->destination);
		return 1;
	}
	if (eth->type != ETHERTYPE_IPV6 || (void *)(six + 1) > end)
		return 0;
	p->six = 1;
	set_ipv6(&p->destination, six->destination);
	return 1;
}

/*
 * Decides all that needs no table. True: the table is to be asked. A function of its
 * own, so that its frame is gone before the table's are needed: all frames of a chain of
 * calls together may take 512 bytes, each rounded up to 32 on older kernels.
 */
static __attribute__((noinline)) int direct(struct outcome *o, struct packet *p, void *data,
					    void *end)
{
	struct ethernet *eth = data;
	struct place at = {};
	enum shape shape;

	/* parse: can a rule claim it? */
	if (unlikely(data + ETH_HLEN + sizeof(struct ipv4) > end))
		return 0;
	if (unlikely(!take_destination(p, data, end))) {
		if (eth->type == ETHERTYPE_ARP)
			direct_arp(o, data, end);
		return 0;
	}
	o->settings = p->settings = current_settings();
	if (p->six && is_discovery(data, end)) {
		direct_solicitation(o, p, data, end);
		return 0;
	}
	find_place(&at, o->settings, p);
	if (!at.vip && !flows_of(o->settings)->general.number)
		return 0;

	/* parsed with care, rule by rule */
	shape = p->six ? parse_ipv6(p, data, end) : parse_ipv4(p, data, end);
	if (!ask_flows(o, p, shape, &at))
		return 0;
	o->choice = choice_of(o->settings, o->director);
	o->server = o->choice->server;
	if (!is_for_us(data, o->choice)) {
		o->flow = 0;
		return 0;
	}
	if (shape == SHAPE_MALFORMED) {
		o->verdict = VERDICT_DROP_MALFORMED;
		return 0;
	}
	if (o->choice->flags & CHOICE_HOLD) {
		hold(o, p, shape);
		return 0;
	}
	if (!(o->choice->flags & CHOICE_FORWARD) || o->choice->flags & CHOICE_REJECT) {
		o->verdict = VERDICT_DROP_NO_SERVER;
		return 0;
	}
	o->verdict = VERDICT_FORWARD;
	if (shape == SHAPE_TCP)
		return needs_table(o, p);
	if (o->choice->flags & CHOICE_BALANCED)
		spread(o, p, shape);
	return 0;
}

#endif
