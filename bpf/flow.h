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

INLINE __u32 vip_slot(struct rule_set *set, __be32 addr)
{
	return addr * set->multiplier >> (32 - VIP_SLOT_BITS);
}

/* what a packet offers to the conditions of rules */
struct offer {
	__u32 iface;
	__be32 source;
	__u16 source_port, port;
	__u8 protocol;
	__u8 icmp_type;
	__u8 has;   /* ON_SOURCE_PORT | ON_PORT and ON_ICMP_TYPE where it has them */
	__u8 later; /* a fragment without ports: it follows its first one */
};

INLINE int rule_matches(struct rule *r, struct offer *o)
{
	__u32 conditions = r->conditions, holds = 0;

	if (o->later) {
		const __u32 unknown = ON_SOURCE_PORT | ON_PORT | ON_ICMP_TYPE;

		if (r->ignore && (conditions & unknown))
			return 0;
		conditions &= ~unknown;
	}
	holds |= r->iface == o->iface ? ON_IFACE : 0;
	holds |= r->protocol == o->protocol ? ON_PROTOCOL : 0;
	holds |= (o->source & r->source_mask) == r->source ? ON_SOURCE : 0;
	holds |= r->source_port_first <= o->source_port && o->source_port <= r->source_port_last ?
			 ON_SOURCE_PORT & o->has :
			 0;
	holds |= r->port_first <= o->port && o->port <= r->port_last ? ON_PORT & o->has : 0;
	holds |= r->icmp_type == o->icmp_type ? ON_ICMP_TYPE & o->has : 0;
	return ((holds ^ r->negated) & conditions) == conditions;
}

/*
 * Tries the rules of a slot in order. Returns the rule's index, or -1.
 */
GLOBAL int match_rules(__u32 at, __u32 slot, struct offer *o)
{
	struct rule_set *set = &shared.settings[at & 1].rules;
	__u32 n, first, exempt = 0;

	if (!o)
		return -1;
	slot &= VIP_SLOTS - 1;
	n = set->vips[slot].rules;
	first = set->first[slot];
	for (__u32 i = 0; i < RULES_PER_VIP; i++) {
		struct rule *r = &set->rules[(first + i) & (RULES - 1)];

		if (i >= n)
			break;
		if (r->flow == exempt || !rule_matches(r, o))
			continue;
		if (!r->ignore)
			return (first + i) & (RULES - 1);
		exempt = r->flow;
	}
	return -1;
}

#endif
