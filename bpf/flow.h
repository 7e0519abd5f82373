/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The flow manager: which virtual IP, which rule, hence which director. The
 * specification is the matcher of internal/flow; both must agree.
 */
#ifndef FAIRLEAD_FLOW_H
#define FAIRLEAD_FLOW_H

#include "parse.h"

/* Which settings are current: read once for a packet, so that it meets only those. */
INLINE __u32 current_settings(void)
{
	return *(volatile __u32 *)&shared.current & 1;
}

INLINE struct flow_set *flows_of(__u32 settings)
{
	return &shared.settings[settings & 1].flows;
}

INLINE __u32 first_slot(__u64 product, __u32 bits)
{
	return product >> (64 - bits);
}

/*
 * Mixed once more: ports of one address are numbers in a row, and a mere product
 * would put those that share a first slot close together here, too.
 */
INLINE __u32 second_slot(__u64 product, __u32 bits)
{
	return (product ^ product >> 32) * 0x9E3779B97F4A7C15ULL >> (64 - bits);
}

#define NO_SLOT (~0U)

/* The slot of a destination that rules name, or NO_SLOT. */
INLINE __u32 vip_slot(struct flow_set *set, __be32 addr)
{
	__u64 product = addr * set->vip_multiplier;
	__u32 slot = first_slot(product, VIP_SLOT_BITS);

	if (likely(set->vips[slot].addr == addr))
		return slot;
	slot = second_slot(product, VIP_SLOT_BITS);
	return set->vips[slot].addr == addr ? slot : NO_SLOT;
}

INLINE __u64 vip6_key(union address *a)
{
	__u64 key = a->halves[0] * 0x9E3779B97F4A7C15ULL + a->halves[1];

	return key ^ key >> 32;
}

INLINE int is_vip6(struct vip6 *v, union address *a)
{
	return v->vip.addr == a->words[3] && v->upper[2] == a->words[2] &&
	       v->upper[1] == a->words[1] && v->upper[0] == a->words[0];
}

/* The slot of an IPv6 destination in vips6, or NO_SLOT. */
INLINE __u32 vip6_slot(struct flow_set *set, struct rule_lists *l, union address *a)
{
	__u64 product = vip6_key(a) * set->vip6_multiplier;
	__u32 slot = first_slot(product, VIP6_SLOT_BITS);

	if (likely(is_vip6(&l->vips6[slot], a)))
		return slot;
	slot = second_slot(product, VIP6_SLOT_BITS);
	return is_vip6(&l->vips6[slot], a) ? slot : NO_SLOT;
}

INLINE int is_service(struct service *s, __be32 addr, __u8 protocol, __be16 port)
{
	return s->addr == addr && s->port == port && s->protocol == protocol;
}

/* The service of a destination, or 0. */
INLINE struct service *service_of(struct flow_set *set, __be32 addr, __u8 protocol, __be16 port)
{
	__u64 key = (__u64)protocol << 48 | (__u64)port << 32 | addr;
	__u64 product = (key ^ key >> 32) * set->service_multiplier;
	struct service *s = &set->services[first_slot(product, SERVICE_SLOT_BITS)];

	if (likely(is_service(s, addr, protocol, port)))
		return s;
	s = &set->services[second_slot(product, SERVICE_SLOT_BITS)];
	return is_service(s, addr, protocol, port) ? s : 0;
}

/* Does a destination or a service send the packet on without a list? */
INLINE int is_direct(struct flow_set *set, __u32 flags, __u32 flow, __u32 iface)
{
	if (!(flags & VIP_DIRECT))
		return 0;
	return !(flags & VIP_ON_IFACE) || (flow < FLOWS && set->ifaces[flow] == iface);
}

#define ON_PORTS (ON_SOURCE_PORT | ON_PORT)

/* a walk over a list */
struct walk {
	__u32 place, left;
	__u32 limit; /* rules of a higher order cannot count */
	__u32 whole; /* in the list of a destination, of a whole packet: leave its services out */
};

/*
 * 1 if the numbers differ. Without a branch: the verifier would have to follow
 * both ways of each condition of each rule. The barrier hides it from the compiler.
 */
INLINE __u64 differ(__u64 a, __u64 b)
{
	__u64 difference = a ^ b, negative = -difference;

	barrier_var(negative);
	return (difference | negative) >> 63;
}

/* 1 if the number is not in the range */
INLINE __u64 outside(__u64 n, __u64 first, __u64 last)
{
	__u64 below = n - first, above = last - n;

	barrier_var(below);
	barrier_var(above);
	return (below | above) >> 63;
}

/* 1 if the address is not in the network, or of the other family */
INLINE __u64 beyond(union address *a, __u64 *network, __u64 *mask, __u64 other)
{
	return differ(((a->halves[0] & mask[0]) ^ network[0]) |
			      ((a->halves[1] & mask[1]) ^ network[1]) | other,
		      0);
}

INLINE int rule_holds(struct rule *r, struct packet *p)
{
	__u64 conditions = r->conditions & ~p->hidden, fails = p->lacks;

	if (r->ignore && r->conditions & p->hidden)
		return 0;
	fails |= differ(r->iface, p->iface) * ON_IFACE;
	fails |= differ(r->protocol, p->protocol) * ON_PROTOCOL;
	fails |= beyond(&p->source, r->source, r->source_mask, p->six ^ r->source_six) * ON_SOURCE;
	fails |= beyond(&p->destination, r->destination, r->destination_mask,
			p->six ^ r->destination_six) *
		 ON_DESTINATION;
	fails |= outside(bpf_ntohs(p->source_port), r->source_port_first, r->source_port_last) *
		 ON_SOURCE_PORT;
	fails |= outside(bpf_ntohs(p->destination_port), r->port_first, r->port_last) * ON_PORT;
	fails |= differ(r->icmp_type, p->icmp_type) * ON_ICMP_TYPE;
	return !((fails ^ r->negated) & conditions);
}

INLINE struct rule_lists *lists_of(__u32 settings)
{
	__u32 key = settings & 1;

	return bpf_map_lookup_elem(&lists, &key);
}

INLINE struct rule *rule_at(struct rule_lists *l, __u32 place)
{
	return &l->rules[place & (RULES - 1)];
}

/*
 * A walk of any length is made of short ones, each in a function of its own: so
 * the verifier never has to follow more than STEPS of them.
 */
#define STEPS 64

/* Goes on to the next rule that holds: w->place. False: not yet. */
GLOBAL int walk_on(__u32 settings, struct packet *p, struct walk *w)
{
	struct rule_lists *l = lists_of(settings);

	if (!l || !p || !w)
		return 0;
	for (__u32 i = 0; i < STEPS && w->left; i++) {
		struct rule *r = rule_at(l, w->place);

		if (r->order >= w->limit) {
			w->left = 0;
			break;
		}
		if (!(r->service && w->whole) && rule_holds(r, p))
			return 1;
		w->place++;
		w->left--;
	}
	return 0;
}

/* Does one of these ignore rules hold? */
GLOBAL int is_ignored(__u32 settings, struct packet *p, __u32 first, __u32 number)
{
	struct walk w = {.place = first, .left = number, .limit = ~0U};

	if (!p)
		return 0;
	for (int i = 0; i < RULES / STEPS && w.left; i++)
		if (walk_on(settings, p, &w))
			return 1;
	return 0;
}

/*
 * Goes on to the next rule that holds and whose flow does not ignore the packet.
 * An ignore rule exempts from all further rules of its flow.
 */
GLOBAL int walk_to_hit(__u32 settings, struct packet *p, struct walk *w)
{
	struct rule_lists *l = lists_of(settings);

	if (!l || !p || !w)
		return 0;
	for (int i = 0; i < STEPS && w->left; i++) {
		struct rule *r;

		if (!walk_on(settings, p, w))
			continue;
		r = rule_at(l, w->place);
		if (!r->ignores || !is_ignored(settings, p, r->ignores_first, r->ignores))
			return 1;
		w->place += r->next;
		w->left = w->left > r->next ? w->left - r->next : 0;
	}
	return 0;
}

#define NO_RULE (-1)

/*
 * Walks a whole list: a step of it is as many rules, or a flow that ignores the
 * packet, of which there are fewer than rules. Returns the place of the first rule that
 * claims the packet, or NO_RULE.
 */
GLOBAL int first_hit(__u32 settings, struct packet *p, struct walk *w)
{
	if (!p || !w)
		return NO_RULE;
	for (int i = 0; i < RULES / STEPS && w->left; i++)
		if (walk_to_hit(settings, p, w))
			return w->place & (RULES - 1);
	return NO_RULE;
}

/* The order of the rule at a place: what comes behind it need not be tried. */
INLINE __u32 order_of(__u32 settings, int place)
{
	struct rule_lists *l = lists_of(settings);

	return l && place != NO_RULE ? rule_at(l, place)->order : ~0U;
}

/* Tries the lists of a service, of a destination (its place in of_vip) and the general one. */
static __attribute__((noinline)) int match_rules(__u32 settings, struct packet *p,
						 struct service *s, __u32 slot)
{
	struct rule_lists *l = lists_of(settings);
	struct extent e = {};
	struct walk w;
	int best = NO_RULE, hit;

	if (s) {
		w = (struct walk){.place = s->first, .left = s->number, .limit = ~0U};
		best = first_hit(settings, p, &w);
	}
	if (l && slot != NO_SLOT) {
		__u64 place = slot; /* kernel 6.1 learns nothing from a narrow comparison */

		barrier_var(place);
		e = l->of_vip[place < VIP_SLOTS + VIP6_SLOTS ? place : 0];
		w = (struct walk){.place = e.first,
				  .left = e.number,
				  .limit = order_of(settings, best),
				  .whole = !(p->hidden & ON_PORTS)};
		hit = first_hit(settings, p, &w);
		best = hit == NO_RULE ? best : hit;
	}
	e = flows_of(settings)->general;
	w = (struct walk){.place = e.first, .left = e.number, .limit = order_of(settings, best)};
	hit = first_hit(settings, p, &w);
	return hit == NO_RULE ? best : hit;
}

#endif
