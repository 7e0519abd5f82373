/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The connection table: which TCP connections belong to which server and
 * generation. An active/passive director does not need it to forward; it is
 * what makes the old connections known at a switch. Only SYN, FIN and RST come
 * here, one packet of each jiffy, and every packet while old ones may be left.
 *
 * A connection has two candidate buckets and goes into the emptier one, so that
 * hardly any finds no room: one in 30,000 in a table that is 72 % full. Writers race with
 * compare-and-swap; a lost race costs an entry, never a wrong one, because the exact tuple is
 * compared before it is believed.
 */
#ifndef FAIRLEAD_CONNECTION_H
#define FAIRLEAD_CONNECTION_H

#include "share.h"
#include "suspect.h"

#define SLOT_TAG(slot) ((__u32)((slot) >> 44))
#define SLOT_PACKETS(slot) ((slot) >> 40 & 0xf)
#define ONE_PACKET (1ULL << 40)
#define MOST_PACKETS 15
#define SLOT_GENERATION(slot) ((__u16)((slot) >> 24))
#define SLOT_DIRECTOR(slot) ((__u8)((slot) >> 16))
#define SLOT_SERVER(slot) ((slot) >> 12 & 0xf)
#define SLOT_STATE(slot) ((slot) >> 8 & 0xf)
#define SLOT_SEEN(slot) ((slot)&0xff)
#define SLOT_STATES(states) ((__u64)(states) << 8)

/* of the hash: 14+ low bits choose the bucket, 20 the tag, 8 the tag byte */
#define HASH_TAG(h) ((h) >> 44)
#define HASH_BYTE(h) ((h) >> 32 & 0xff)

/*
 * When a connection was seen is kept in ticks of 16 to 32 seconds, whatever the
 * frequency of the kernel's clock. A live one is not evicted before this many ticks
 * of silence, 34 minutes or more, unless user space said that it is idle.
 */
#define TICKS_KEEP 128

INLINE __u32 first_bucket(__u64 h)
{
	return (__u64)(__u32)h * shared.table.buckets >> 32;
}

INLINE __u32 second_bucket(__u64 h)
{
	return first_bucket(h ^ (h >> 32) * 0x5bd1e995);
}

#define EVERY_BYTE 0x0101010101010101ULL
#define TOP_BITS 0x0080808080808080ULL /* of the seven bytes in use */

/* where a connection lies: bucket << 3 | slot */
#define NOWHERE (~0U)

/* Are the words of the addresses that tuples do not hold the packet's? */
INLINE int is_upper(__u32 index, __u64 k, struct packet *p)
{
	struct uppers *u = bpf_map_lookup_elem(&uppers, &index);
	__u32 differ = 0;

	barrier_var(k);
	if (!u || k >= SLOTS)
		return 0;
	for (int i = 0; i < 3; i++)
		differ |= (u->slots[k].source[i] ^ p->source.words[i]) |
			  (u->slots[k].destination[i] ^ p->destination.words[i]);
	return !differ;
}

/*
 * Finds the connection in one bucket: all tag bytes are compared at once, so
 * that no branch depends on where in the bucket it lies.
 */
GLOBAL __u32 find_in(__u32 index, __u64 h, struct packet *p)
{
	struct bucket *b = bpf_map_lookup_elem(&buckets, &index);
	struct tuples *t = bpf_map_lookup_elem(&tuples, &index);
	__u64 differ, hits, k;
	struct tuple *c;

	if (!b || !t || !p)
		return NOWHERE;
	differ = b->tags ^ HASH_BYTE(h) * EVERY_BYTE;
	hits = (differ - EVERY_BYTE) & ~differ & TOP_BITS;
	for (int n = 0; n < SLOTS; n++) {
		if (!hits)
			return NOWHERE;
		/* the lowest hit's byte number */
		k = ((hits & -hits) >> 7) * 0x0001020304050607ULL >> 56 & 7;
		hits &= hits - 1;
		barrier_var(k);
		if (k >= SLOTS || SLOT_TAG(b->slots[k]) != HASH_TAG(h))
			continue;
		c = &t->slots[k];
		if (c->source == p->source.words[3] && c->source_port == p->source_port &&
		    c->destination == p->destination.words[3] &&
		    c->destination_port == p->destination_port &&
		    (!p->six || is_upper(index, k, p)))
			return index << 3 | k;
	}
	return NOWHERE;
}

#define READY_FREE 1000

/*
 * How ready a slot is to be taken: free, else ended, else never acknowledged,
 * else idle, else silent for long; 0: it must be kept.
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
	if (state & SLOT_IDLE)
		return 300;
	return silent >= TICKS_KEEP ? silent : 0;
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

INLINE __u64 slot_value(struct packet *p, __u64 h, __u32 states, __u8 now)
{
	return HASH_TAG(h) << 44 | ONE_PACKET | (__u64)p->generation << 24 |
	       (__u64)p->director << 16 | (__u64)(p->server & 0xf) << 12 |
	       SLOT_STATES(SLOT_USED | states) | now;
}

/* what the server expects after the packet */
INLINE __u32 next_of(struct packet *p)
{
	return p->seq + p->payload + !!(p->tcp_flags & (TCP_SYN | TCP_FIN));
}

/* Does a slot count among its server's connections? */
INLINE __s32 weighs(__u32 settings, __u64 slot)
{
	__u32 director = SLOT_DIRECTOR(slot) & (DIRECTORS - 1);

	return (SLOT_STATE(slot) & (SLOT_USED | SLOT_ENDED | SLOT_IDLE)) == SLOT_USED &&
	       shared.settings[settings & 1].choices[director].flags & CHOICE_BALANCED &&
	       server_of(settings, director, SLOT_SERVER(slot))->generation ==
		       SLOT_GENERATION(slot);
}

/* A slot changed: so do the numbers of connections. */
INLINE void reckon(__u32 settings, __u64 was, __u64 is)
{
	if (weighs(settings, was))
		__sync_fetch_and_add(conns_of(SLOT_DIRECTOR(was), SLOT_SERVER(was)), -1);
	if (weighs(settings, is))
		__sync_fetch_and_add(conns_of(SLOT_DIRECTOR(is), SLOT_SERVER(is)), 1);
}

/* Notes the words of the addresses that tuples do not hold. */
INLINE void write_upper(__u32 index, __u64 k, struct packet *p)
{
	struct uppers *u = bpf_map_lookup_elem(&uppers, &index);

	barrier_var(k);
	if (!u || k >= SLOTS)
		return;
	for (int i = 0; i < 3; i++) {
		u->slots[k].source[i] = p->source.words[i];
		u->slots[k].destination[i] = p->destination.words[i];
	}
}

/*
 * Notes the exact connection of a slot. A function of its own: kernel 6.1 forgets the
 * bound of a k that was put away meanwhile.
 */
static __attribute__((noinline)) int write_tuple(__u32 index, __u64 k, struct packet *p)
{
	struct tuples *t = bpf_map_lookup_elem(&tuples, &index);
	struct tuple *c;

	barrier_var(k);
	if (!t || k >= SLOTS)
		return 0;
	c = &t->slots[k];
	c->source = p->source.words[3];
	c->destination = p->destination.words[3];
	c->source_port = p->source_port;
	c->destination_port = p->destination_port;
	c->last_ack = p->ack;
	c->next = next_of(p);
	c->begun_s = bpf_ktime_get_ns() / NS_PER_S;
	if (p->six)
		write_upper(index, k, p);
	return 0;
}

/* Writes the connection into a slot; false when somebody else just did. */
INLINE int write_slot(__u32 at, struct packet *p, __u64 h, __u64 value, __u64 expected)
{
	__u32 index = at >> 3;
	__u64 k = at & 7; /* 64 bits wide: kernel 6.1 learns nothing from a narrow comparison */
	struct bucket *b = bpf_map_lookup_elem(&buckets, &index);
	__u64 old;

	if (dry_run)
		return 1;
	barrier_var(k);
	if (!b || k >= SLOTS)
		return 0;
	if (__sync_val_compare_and_swap(&b->slots[k], expected, value) != expected)
		return 0;
	reckon(p->settings, expected, value);
	write_tuple(index, k, p);
	note_client(p);
	old = b->tags >> 8 * k & 0xff; /* only the winner changes this byte */
	__sync_fetch_and_xor(&b->tags, (old ^ HASH_BYTE(h)) << 8 * k);
	return 1;
}

/* A connection that is not in the table: false when there is no room. */
GLOBAL int insert(struct packet *p, __u64 h, __u32 states, __u32 now)
{
	__u32 index, other, r, r2;
	struct bucket *b;
	__u64 slot;

	if (!p)
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
		if (write_slot(index << 3 | (r & 7), p, h, slot_value(p, h, states, now), slot))
			return 1;
	}
	if (!dry_run)
		__sync_fetch_and_add(&shared.table.refused, 1);
	return 0;
}

/*
 * What an old connection's packet gets: a RST in answer. Its own bare RST, and
 * its first bare FIN, still follow it to its server, which may be alive and
 * should know.
 */
INLINE __u32 farewell(struct packet *p, __u64 slot, __u64 *at)
{
	__u32 server = SLOT_DIRECTOR(slot) * SERVERS_PER_DIRECTOR + SLOT_SERVER(slot);
	__u32 first = !(SLOT_STATE(slot) & SLOT_ENDED), ends = p->tcp_flags & (TCP_RST | TCP_FIN);

	if (slot && at && ends) {
		if (!dry_run)
			__sync_val_compare_and_swap(at, slot, slot | SLOT_STATES(SLOT_ENDED));
		if (!p->payload && (first || p->tcp_flags & TCP_RST) &&
		    server_of(p->settings, SLOT_DIRECTOR(slot), SLOT_SERVER(slot))->mac0)
			return ANSWER(VERDICT_FORWARD_OLD, server);
	}
	if (p->tcp_flags & TCP_RST) /* never answered */
		return VERDICT_DROP_OLD;
	if (p->choice_flags & CHOICE_SILENT || !(p->tcp_flags & TCP_ACK))
		return VERDICT_DROP_OLD;
	return VERDICT_RESET;
}

/* A flood of SYNs asks for no more looks than this. */
#define MOST_DUE 1024

/*
 * Two more packets are to be looked at: mostly the client's first ACK, which a reset
 * needs, and its first data, which tell a connection in use from an idle one.
 */
INLINE void ask_for_samples(void)
{
	if (shared.due < MOST_DUE)
		shared.due += 2;
	shared.sampled = 0;
}

/*
 * A SYN. It starts a connection on its server, whatever was known of its tuple;
 * only what is known of a living connection stays, since a SYN can be forged.
 */
INLINE __u32 begin(struct packet *p, __u64 h, __u32 at, __u64 slot, int current, __u8 now)
{
	__u32 living = current && !(SLOT_STATE(slot) & SLOT_ENDED), answer;

	answer = ANSWER(VERDICT_FORWARD, p->server);
	if (living && !(SLOT_STATE(slot) & SLOT_ACKED))
		return answer | tell(p, SIGHTING_REPEATED_SYN);
	if ((current || is_known_client(p)) && may_keep(p))
		return ANSWER(VERDICT_HELD, p->server) | ANSWER_SIGHTING(SIGHTING_RECONNECT);
	if (!slot && !insert(p, h, 0, now) && p->choice_flags & CHOICE_BALANCED)
		/* its next packet will not be known: it must go where that one goes */
		answer = ANSWER(VERDICT_FORWARD, unknown_share(p));
	else if (slot && !living)
		write_slot(at, p, h, slot_value(p, h, 0, now), slot);
	if (!dry_run)
		ask_for_samples();
	return answer;
}

/* A packet in the middle of a connection of this generation is noted. */
INLINE __u32 note(struct packet *p, __u64 slot, __u64 *at, struct tuple *t, __u32 states, __u8 now)
{
	__u32 answer = ANSWER(VERDICT_FORWARD, p->server);
	__u64 noted = (slot & ~(0xffULL | SLOT_STATES(SLOT_IDLE))) | SLOT_STATES(states) | now;

	if (dry_run)
		return answer;
	if (p->payload && !(states & SLOT_ENDED))
		/* it lives: the RST or FIN before was forged, or of its predecessor */
		noted &= ~SLOT_STATES(SLOT_ENDED);
	if (SLOT_PACKETS(slot) < MOST_PACKETS)
		noted += ONE_PACKET;
	if (noted != slot && __sync_val_compare_and_swap(at, slot, noted) == slot &&
	    (noted ^ slot) & SLOT_STATES(SLOT_ENDED | SLOT_IDLE)) {
		reckon(p->settings, slot, noted);
		if (p->choice_flags & CHOICE_BALANCED)
			templated(p->settings, p->director, p); /* its time begins anew */
	}
	if (is_repeated(p, t))
		return answer | tell(p, SIGHTING_REPEATED_DATA);
	t->next = next_of(p);
	if (p->tcp_flags & TCP_ACK)
		t->last_ack = p->ack;
	return answer;
}

/*
 * A balanced director's packet: known connections stay with their server, a new
 * one gets the scheduler's choice, an unknown one whatever its hash says.
 * False: there is no server for it.
 */
INLINE int share(struct packet *p, __u64 slot)
{
	__u32 server = NO_SERVER;
	struct server *s;

	if (slot && SLOT_DIRECTOR(slot) == p->director) {
		server = SLOT_SERVER(slot);
		s = server_of(p->settings, p->director, server);
		if (SLOT_GENERATION(slot) != s->generation && is_opening(p))
			server = NO_SERVER;
		else if (is_opening(p) && SLOT_STATE(slot) & SLOT_ENDED)
			server = NO_SERVER;
		else if (dry_run)
			explanation.chooser = CHOSEN_BY_CONNECTION;
	}
	if (server == NO_SERVER)
		server = is_opening(p) ? new_share(p) : unknown_share(p);
	if (server == NO_SERVER)
		return 0;
	p->server = server;
	p->generation = server_of(p->settings, p->director, server)->generation;
	return 1;
}

/*
 * One TCP packet visits the table. A SYN begins a connection. Anything else of
 * this generation is noted and forwarded, of an older one (or another
 * director's) bidden farewell. The unknown: old while old ones may be left,
 * otherwise learnt.
 */
GLOBAL __u32 visit_table(struct packet *p, __u64 jiffies)
{
	__u8 now = jiffies >> tick_shift;
	__u32 at, index, states = 0;
	struct bucket *b = 0;
	struct tuples *t;
	__u64 slot = 0, h, k;
	int current;

	if (!p)
		return VERDICT_PASS;
	h = hash(p);
	at = find_in(first_bucket(h), h, p);
	if (at == NOWHERE)
		at = find_in(second_bucket(h), h, p);
	index = at >> 3;
	if (at != NOWHERE)
		b = bpf_map_lookup_elem(&buckets, &index);
	if (b)
		slot = b->slots[at & 7];
	if (p->choice_flags & CHOICE_BALANCED && !share(p, slot))
		return VERDICT_DROP_NO_SERVER;

	if (dry_run)
		explanation.slot = slot;
	current = slot && SLOT_GENERATION(slot) == p->generation &&
		  SLOT_DIRECTOR(slot) == p->director;
	if (dry_run)
		explanation.old = slot && !current;
	if (is_opening(p))
		return begin(p, h, at, slot, current, now);
	if (p->tcp_flags & TCP_ACK)
		states |= SLOT_ACKED;
	if (p->tcp_flags & (TCP_FIN | TCP_RST))
		states |= SLOT_ENDED;
	if (!slot) {
		if (p->choice_flags & CHOICE_LOOKUP)
			return farewell(p, 0, 0);
		if (!(states & SLOT_ENDED))
			insert(p, h, states, now);
		return ANSWER(VERDICT_FORWARD, p->server);
	}
	if (!b)
		return VERDICT_PASS; /* for the verifier: there is a slot */
	if (!current)
		return farewell(p, slot, &b->slots[at & 7]);
	t = bpf_map_lookup_elem(&tuples, &index);
	k = at & 7;
	barrier_var(k);
	if (!t || k >= SLOTS)
		return ANSWER(VERDICT_FORWARD, p->server);
	return note(p, slot, &b->slots[k], &t->slots[k], states, now);
}

#endif
