/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The short way through the connection table: for a packet in the middle of a
 * connection that the table knows well, when its director has to look every one up.
 * It reads, and writes nothing. Whatever is not as usual takes the careful way, which
 * also notes what was seen: one packet of each jiffy, and of a connection the first
 * ones, and one in each tick.
 */
#ifndef FAIRLEAD_KNOWN_H
#define FAIRLEAD_KNOWN_H

#include "connection.h"
#include "forward.h"

/* What a frame that goes on gets. Choices and servers begin with it. */
struct next_hop {
	__u64 mac0;
	__u32 mac1;
};

/* what is usual of a slot: its state, and that it was seen in this tick */
#define USUAL_BITS (SLOT_STATES(0xf) | 0xff)
#define USUAL(now) (SLOT_STATES(SLOT_USED | SLOT_ACKED) | (now))
/* and that four packets were seen at least: as many may be sent when it is reset */
#define FOUR_PACKETS (0xcULL << 40)

/*
 * The connection's slot if it lies in that bucket and is usual, else 0. One hit is
 * looked at: that there are two is rare.
 */
INLINE __u64 usual_slot(__u32 index, __u64 h, __be32 source, __be32 destination, __u32 ports)
{
	struct bucket *b = bpf_map_lookup_elem(&buckets, &index);
	struct tuples *t = bpf_map_lookup_elem(&tuples, &index);
	__u8 now = bpf_jiffies64() >> tick_shift;
	__u64 differ, hits, k, slot;
	struct tuple *c;

	if (!b || !t)
		return 0;
	differ = b->tags ^ HASH_BYTE(h) * EVERY_BYTE;
	hits = (differ - EVERY_BYTE) & ~differ & TOP_BITS;
	if (!hits)
		return 0;
	k = ((hits & -hits) >> 7) * 0x0001020304050607ULL >> 56 & 7;
	barrier_var(k);
	if (k >= SLOTS)
		return 0;
	slot = b->slots[k];
	c = &t->slots[k];
	if (SLOT_TAG(slot) != HASH_TAG(h) || (slot & USUAL_BITS) != USUAL(now) ||
	    !(slot & FOUR_PACKETS) || c->source != source || c->destination != destination ||
	    *(__u32 *)&c->source_port != ports)
		return 0;
	return slot;
}

/* Is it forwarded, to a server of this segment, once the table was asked? */
INLINE int asks_table(struct choice *c)
{
	return (c->flags & (CHOICE_FORWARD | CHOICE_HOLD | CHOICE_REJECT | CHOICE_REMOTE)) ==
	       CHOICE_FORWARD;
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

/*
 * Where a packet goes whose director looks every one up: to the server of its connection.
 * 0: it is to take the careful way. A function of its own, so that it costs those that
 * need no table nothing.
 */
static __attribute__((noinline)) struct next_hop *known_hop(void *data, void *end, __u32 at,
							    __u32 *server)
{
	__u32 settings = at >> 16, director = at & (DIRECTORS - 1);
	struct choice *c = &shared.settings[settings & 1].choices[director];
	struct ipv4 *ip = data + ETH_HLEN;
	struct tcp *tcp = (void *)(ip + 1);
	__u64 h, slot;
	__u32 ports;
	struct server *s;

	if ((void *)(tcp + 1) > end || ip->protocol != PROTOCOL_TCP || !asks_table(c) ||
	    !is_for_us(data, c) || tcp->flags & (TCP_SYN | TCP_FIN | TCP_RST) || is_sample())
		return 0;
	ports = *(__u32 *)tcp;
	h = mix(ip->source, ip->destination, ports << 16 | ports >> 16, 0) & ~HASH_OF_SIX;
	slot = usual_slot(first_bucket(h), h, ip->source, ip->destination, ports);
	if (!slot)
		slot = usual_slot(second_bucket(h), h, ip->source, ip->destination, ports);
	if (!slot || SLOT_DIRECTOR(slot) != director)
		return 0;
	if (!(c->flags & CHOICE_BALANCED)) {
		*server = c->server;
		return SLOT_GENERATION(slot) == c->generation ? (struct next_hop *)c : 0;
	}
	*server = SLOT_SERVER(slot);
	s = server_of(settings, director, SLOT_SERVER(slot));
	return SLOT_GENERATION(slot) == s->generation && s->mac0 ? (struct next_hop *)s : 0;
}

#endif
