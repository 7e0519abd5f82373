/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The connection table: which TCP connections belong to which server and
 * generation. An active/passive director does not need it to forward; it is
 * what makes the old connections known at a switch. Only SYN, FIN and RST come
 * here, one packet of each jiffy, and every packet while old ones may be left.
 *
 * A connection has two candidate buckets and goes into the emptier one, so that
 * hardly any finds no room: one in 600,000 in a table that is 70 % full. Writers race with
 * compare-and-swap; a lost race costs an entry, never a wrong one, because the exact tuple is
 * compared before it is believed.
 */
#ifndef FAIRLEAD_CONNECTION_H
#define FAIRLEAD_CONNECTION_H

#include "parse.h"

#define SLOT_TAG(slot) ((__u32)((slot) >> 40))
#define SLOT_GENERATION(slot) ((__u16)((slot) >> 24))
#define SLOT_DIRECTOR(slot) ((__u8)((slot) >> 16))
#define SLOT_SERVER(slot) ((slot) >> 12 & 0xf)
#define SLOT_STATE(slot) ((slot) >> 8 & 0xf)
#define SLOT_SEEN(slot) ((slot)&0xff)
#define SLOT_STATES(states) ((__u64)(states) << 8)

/* of the hash: 14+ low bits choose the bucket, 24 the tag, 8 the tag byte */
#define HASH_TAG(h) ((h) >> 40)
#define HASH_BYTE(h) ((h) >> 32 & 0xff)

/* what the table is asked */
struct visit {
	__be32 source, destination;
	__be16 source_port, destination_port;
	__u32 ack;
	__u16 generation; /* of the director's choice */
	__u8 director, server;
	__u8 tcp_flags;
	__u8 choice_flags;
	__u8 payload;
	__u8 pad;
};

/* what it answers: verdict, and in bits 8-15 the server of FORWARD_OLD */
#define ANSWER(verdict, server) ((__u32)(verdict) | (__u32)(server) << 8)

/* time since a connection was seen, in steps of about 17 minutes at 250 Hz */
#define SEEN_SHIFT 18
/* a live connection is not evicted before this many steps of silence */
#define SEEN_KEEP 2

INLINE __u64 hash(struct visit *v)
{
	__u64 h = (__u64)v->source << 32 | (__u32)v->source_port << 16 | v->destination_port;

	h = (h ^ shared.table.seed) * 0x9E3779B97F4A7C15ULL;
	h ^= h >> 32;
	h = (h + v->destination) * 0xD6E8FEB86659FD93ULL;
	return h ^ h >> 29;
}

INLINE __u32 first_bucket(__u64 h)
{
	return (__u32)h & shared.table.mask;
}

INLINE __u32 second_bucket(__u64 h)
{
	return (__u32)(h ^ (h >> 32) * 0x5bd1e995) & shared.table.mask;
}

#define EVERY_BYTE 0x0101010101010101ULL
#define TOP_BITS 0x0080808080808080ULL /* of the seven bytes in use */

/* where a connection lies: bucket << 3 | slot */
#define NOWHERE (~0U)

/*
 * Finds the connection in one bucket: all tag bytes are compared at once, so
 * that no branch depends on where in the bucket it lies.
 */
GLOBAL __u32 find_in(__u32 index, __u64 h, struct visit *v)
{
	struct bucket *b = bpf_map_lookup_elem(&buckets, &index);
	struct tuples *t = bpf_map_lookup_elem(&tuples, &index);
	__u64 differ, hits;
	struct tuple *c;
	__u32 k;

	if (!b || !t || !v)
		return NOWHERE;
	differ = b->tags ^ HASH_BYTE(h) * EVERY_BYTE;
	hits = (differ - EVERY_BYTE) & ~differ & TOP_BITS;
	for (int n = 0; n < SLOTS; n++) {
		if (!hits)
			return NOWHERE;
		/* the lowest hit's byte number */
		k = ((hits & -hits) >> 7) * 0x0001020304050607ULL >> 56 & 7;
		hits &= hits - 1;
		if (SLOT_TAG(b->slots[k]) != HASH_TAG(h))
			continue;
		c = &t->slots[k];
		if (c->source == v->source && c->source_port == v->source_port &&
		    c->destination == v->destination && c->destination_port == v->destination_port)
			return index << 3 | k;
	}
	return NOWHERE;
}

#define READY_FREE 1000

/*
 * How ready a slot is to be taken: free, else ended, else never acknowledged,
 * else silent for long; 0: it must be kept.
 */
INLINE __u32 readiness(__u64 slot, __u8 now)
{
	__u32 silent = (__u8)(now - SLOT_SEEN(slot));
	__u32 state = SLOT_STATE(slot);

	if (!(state & SLOT_USED))
		return READY_FREE;
	if (state & SLOT_ENDED)
		return 700;
	if (!(state & SLOT_ACKED))
		return 400 + silent;
	return silent >= SEEN_KEEP ? silent : 0;
}

/* the readiest slot of a bucket: (readiness + free slots) << 8 | slot */
GLOBAL __u32 readiest(__u32 index, __u32 now)
{
	struct bucket *b = bpf_map_lookup_elem(&buckets, &index);
	__u32 best = 0, free = 0, r;

	if (!b)
		return 0;
	for (int k = 0; k < SLOTS; k++) {
		r = readiness(b->slots[k], now);
		free += r == READY_FREE;
		r = r << 8 | k;
		best = r > best ? r : best;
	}
	return best + (free << 8);
}

INLINE __u64 slot_value(struct visit *v, __u64 h, __u32 states, __u8 now)
{
	return HASH_TAG(h) << 40 | (__u64)v->generation << 24 | (__u64)v->director << 16 |
	       (__u64)(v->server & 0xf) << 12 | SLOT_STATES(SLOT_USED | states) | now;
}

/* Writes the connection into a slot; false when somebody else just did. */
INLINE int write_slot(__u32 at, struct visit *v, __u64 h, __u64 value, __u64 expected)
{
	__u32 index = at >> 3, k = at & 7;
	struct bucket *b = bpf_map_lookup_elem(&buckets, &index);
	struct tuples *t = bpf_map_lookup_elem(&tuples, &index);
	__u64 old;

	if (!b || !t || k >= SLOTS)
		return 0;
	if (__sync_val_compare_and_swap(&b->slots[k], expected, value) != expected)
		return 0;
	t->slots[k].source = v->source;
	t->slots[k].destination = v->destination;
	t->slots[k].source_port = v->source_port;
	t->slots[k].destination_port = v->destination_port;
	t->slots[k].last_ack = v->ack;
	old = b->tags >> 8 * k & 0xff; /* only the winner changes this byte */
	__sync_fetch_and_xor(&b->tags, (old ^ HASH_BYTE(h)) << 8 * k);
	return 1;
}

/* A connection that is not in the table: false when there is no room. */
GLOBAL int insert(struct visit *v, __u64 h, __u32 states, __u32 now)
{
	__u32 index, other, r, r2;
	struct bucket *b;
	__u64 slot;

	if (!v)
		return 0;
	for (int i = 0; i < 4; i++) { /* others may take the same slot meanwhile */
		index = first_bucket(h);
		other = second_bucket(h);
		r = readiest(index, now);
		r2 = readiest(other, now);
		if (r2 >> 8 > r >> 8) {
			index = other;
			r = r2;
		}
		b = bpf_map_lookup_elem(&buckets, &index);
		if (!b || !(r >> 8) || (r & 0xff) >= SLOTS)
			break;
		slot = b->slots[r & 7];
		/* still what it was taken for? */
		if (readiness(slot, now) < READY_FREE && r >> 8 >= READY_FREE)
			continue;
		if (write_slot(index << 3 | (r & 7), v, h, slot_value(v, h, states, now), slot))
			return 1;
	}
	__sync_fetch_and_add(&shared.table.refused, 1);
	return 0;
}

/* What an old connection's packet gets. */
INLINE __u32 farewell(struct visit *v, __u64 slot, __u64 *at)
{
	__u32 known = slot != 0;
	__u32 server = SLOT_DIRECTOR(slot) * SERVERS_PER_DIRECTOR + SLOT_SERVER(slot);

	if (v->tcp_flags & TCP_RST) {
		/* never answer a RST; but its server may be alive and should know */
		if (known && at)
			__sync_val_compare_and_swap(at, slot, slot | SLOT_STATES(SLOT_ENDED));
		if (known && !v->payload &&
		    shared.servers[server & (DIRECTORS * SERVERS_PER_DIRECTOR - 1)].mac0)
			return ANSWER(VERDICT_FORWARD_OLD, 0) | server << 8;
		return ANSWER(VERDICT_DROP_OLD, 0);
	}
	if (v->choice_flags & CHOICE_SILENT || !(v->tcp_flags & TCP_ACK))
		return ANSWER(VERDICT_DROP_OLD, 0);
	return ANSWER(VERDICT_RESET, 0);
}

/*
 * One TCP packet visits the table. A SYN starts a connection on the active
 * server, whatever was known of its tuple. Anything else of this generation is
 * noted and forwarded, of an older one (or another director's) bidden farewell.
 * The unknown: old while old ones may be left, otherwise learnt.
 */
GLOBAL __u32 visit_table(struct visit *v, __u64 jiffies)
{
	__u8 now = jiffies >> SEEN_SHIFT;
	__u32 at, index, states = 0;
	struct bucket *b = 0;
	struct tuples *t;
	__u64 slot = 0, h, noted;
	int current;

	if (!v)
		return VERDICT_PASS;
	h = hash(v);
	at = find_in(first_bucket(h), h, v);
	if (at == NOWHERE)
		at = find_in(second_bucket(h), h, v);
	index = at >> 3;
	if (at != NOWHERE)
		b = bpf_map_lookup_elem(&buckets, &index);
	if (b)
		slot = b->slots[at & 7];

	current = SLOT_GENERATION(slot) == v->generation && SLOT_DIRECTOR(slot) == v->director;
	if ((v->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN) {
		if (!b)
			insert(v, h, 0, now);
		else if (!current || SLOT_STATE(slot) & SLOT_ENDED)
			write_slot(at, v, h, slot_value(v, h, 0, now), slot);
		/* else a repeated SYN, or a forged one: what is known stays */
		return VERDICT_FORWARD;
	}
	if (v->tcp_flags & TCP_ACK)
		states |= SLOT_ACKED;
	if (v->tcp_flags & (TCP_FIN | TCP_RST))
		states |= SLOT_ENDED;
	if (!b) {
		if (v->choice_flags & CHOICE_LOOKUP)
			return farewell(v, 0, 0);
		if (!(states & SLOT_ENDED))
			insert(v, h, states, now);
		return VERDICT_FORWARD;
	}
	if (!current)
		return farewell(v, slot, &b->slots[at & 7]);
	noted = (slot & ~0xffULL) | SLOT_STATES(states) | now;
	if (v->payload && !(states & SLOT_ENDED))
		/* it lives: the RST or FIN before was forged, or of its predecessor */
		noted &= ~SLOT_STATES(SLOT_ENDED);
	if (noted != slot)
		__sync_val_compare_and_swap(&b->slots[at & 7], slot, noted);
	t = bpf_map_lookup_elem(&tuples, &index);
	if (t && v->tcp_flags & TCP_ACK)
		t->slots[at & 7].last_ack = v->ack;
	return VERDICT_FORWARD;
}

#endif
