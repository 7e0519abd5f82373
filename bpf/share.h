/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Which server of a balanced director gets a new connection. The specification is
 * the Pool of internal/schedule; both must agree on every choice. User space makes
 * the tables: the turns of roundrobin, and the places that a hash leads to.
 */
#ifndef FAIRLEAD_SHARE_H
#define FAIRLEAD_SHARE_H

#include "visit.h"

#define NO_SERVER (~0U)
#define EVERYONE 0xffff
#define NS_PER_S 1000000000ULL
/* a set of servers that did not change for so many seconds loses its busiest one */
#define SHRINK_AFTER_S (24 * 60 * 60)

INLINE struct shares *shares_of(__u32 settings, __u32 director)
{
	return &shared.settings[settings & 1].shares[director & (DIRECTORS - 1)];
}

INLINE __s32 *conns_of(__u32 director, __u32 server)
{
	__u32 index = director * SERVERS_PER_DIRECTOR + (server & (SERVERS_PER_DIRECTOR - 1));

	barrier_var(index);
	return &shared.load.conns[index & (DIRECTORS * SERVERS_PER_DIRECTOR - 1)];
}

/* A race may lose a connection that began: fewer than none are none. */
INLINE __u64 conns(__u32 director, __u32 server)
{
	__s32 n = *(volatile __s32 *)conns_of(director, server);

	return n > 0 ? n : 0;
}

/* Without a seed: so several directors choose alike. */
INLINE __u32 place_hash(__u64 a, __u64 b)
{
	__u64 h = a * 0x9E3779B97F4A7C15ULL;

	h ^= h >> 32;
	h = (h + b) * 0xD6E8FEB86659FD93ULL;
	return (h ^ h >> 29) >> 32;
}

/* An address in 32 bits, as hashes take it. */
INLINE __u32 word_of(struct packet *p, union address *a)
{
	__u64 h;

	if (!p->six)
		return a->words[3];
	h = a->halves[0] * 0x9E3779B97F4A7C15ULL;
	h = (h ^ h >> 32 ^ a->halves[1]) * 0xD6E8FEB86659FD93ULL;
	return h >> 32;
}

/*
 * Always the same one for the same hash, of what the scheduler looks at: where
 * no table tells.
 */
INLINE __u32 placed_share(__u32 settings, __u32 director, struct packet *p, __u32 ports)
{
	struct shares *s = shares_of(settings, director);
	__u32 scheduler = s->scheduler, place;
	__u64 a = (__u64)word_of(p, &p->source) << 32, b = word_of(p, &p->destination);

	if (scheduler == SCHEDULE_SOURCE)
		b = 0;
	else if (scheduler == SCHEDULE_DEST)
		a = 0;
	else if (scheduler != SCHEDULE_SRCDST)
		a |= ports;
	if (dry_run)
		explanation.chooser = CHOSEN_BY_HASH;
	place = (__u64)place_hash(a, b) * SHARES >> 32;
	barrier_var(place);
	return s->count && place < SHARES ? s->places[place] & (SERVERS_PER_DIRECTOR - 1) :
					    NO_SERVER;
}

/* The next one in turn. */
INLINE __u32 next_turn(__u32 settings, __u32 director)
{
	struct shares *s = shares_of(settings, director);
	__u32 *next = &shared.load.turn[director & (DIRECTORS - 1)];
	__u32 turn = dry_run ? *(volatile __u32 *)next : __sync_fetch_and_add(next, 1);

	turn = s->length ? turn % s->length : SHARES;
	barrier_var(turn);
	return turn < SHARES ? s->turns[turn] & (SERVERS_PER_DIRECTOR - 1) : NO_SERVER;
}

/*
 * The member of a set with the fewest connections for its weight, when so many
 * more were to begin there; with the most, when most is set. Among equals the first.
 */
GLOBAL __u32 extreme(__u32 settings, __u32 director, __u32 set, __u32 more, __u32 most)
{
	struct shares *s = shares_of(settings, director);
	__u64 best_conns = 0, best_weight = 0, n, weight, here, there;
	__u32 best = NO_SERVER;

	for (__u32 i = 0; i < SERVERS_PER_DIRECTOR; i++) {
		__u32 server = s->members[i] & (SERVERS_PER_DIRECTOR - 1);

		if (i >= s->count)
			break;
		if (!(set >> server & 1))
			continue;
		n = conns(director, server) + more;
		weight = server_of(settings, director, server)->weight;
		here = n * best_weight;
		there = best_conns * weight;
		if (best != NO_SERVER && !(most ? here > there : here < there))
			continue;
		best = server;
		best_conns = n;
		best_weight = weight;
	}
	return best;
}

/* The first member without a connection. */
GLOBAL __u32 idle(__u32 settings, __u32 director)
{
	struct shares *s = shares_of(settings, director);

	for (__u32 i = 0; i < SERVERS_PER_DIRECTOR; i++) {
		if (i >= s->count)
			break;
		if (!conns(director, s->members[i]))
			return s->members[i] & (SERVERS_PER_DIRECTOR - 1);
	}
	return NO_SERVER;
}

/* Those of a set that are members. */
GLOBAL __u32 present(__u32 settings, __u32 director, __u32 set)
{
	struct shares *s = shares_of(settings, director);
	__u32 all = 0;

	for (__u32 i = 0; i < SERVERS_PER_DIRECTOR; i++)
		if (i < s->count)
			all |= 1U << (s->members[i] & (SERVERS_PER_DIRECTOR - 1));
	return set & all;
}

/* Has a server more connections than its weight, while another has fewer than half of its own? */
GLOBAL __u32 is_overloaded(__u32 settings, __u32 director, __u32 server)
{
	struct shares *s = shares_of(settings, director);
	__u64 n, weight;
	__u32 over = 0, room = 0;

	for (__u32 i = 0; i < SERVERS_PER_DIRECTOR; i++) {
		if (i >= s->count)
			break;
		n = conns(director, s->members[i]);
		weight = server_of(settings, director, s->members[i])->weight;
		over |= (s->members[i] & (SERVERS_PER_DIRECTOR - 1)) == server && n > weight;
		room |= n * 2 < weight;
	}
	return over && room;
}

/* localitybased, with replication or without. */
INLINE __u32 local_share(struct packet *p)
{
	__u32 settings = p->settings, director = p->director;
	__u32 replicated = shares_of(settings, director)->scheduler == SCHEDULE_REPLICATION;
	struct locality_key key = {.director = director};
	struct locality *known, now = {};
	__u32 set, server;

	__builtin_memcpy(key.address, &p->destination, sizeof(key.address));
	known = bpf_map_lookup_elem(&localities, &key);
	set = known ? present(settings, director, known->set) : 0;
	now.changed_s = bpf_ktime_get_coarse_ns() / NS_PER_S;
	if (known && replicated && set & (set - 1) &&
	    now.changed_s - known->changed_s > SHRINK_AFTER_S) {
		set &= ~(1U << (extreme(settings, director, set, 0, 1) & 31));
		if (!dry_run)
			known->changed_s = now.changed_s;
	}
	if (known && replicated && !dry_run)
		known->set = set;
	if (set) {
		server = extreme(settings, director, replicated ? set : set & -set, 0, 0);
		if (!is_overloaded(settings, director, server))
			return server;
	}
	server = extreme(settings, director, EVERYONE, 0, 0);
	if (server == NO_SERVER || (replicated && set >> (server & 31) & 1))
		return server;
	now.set = (replicated ? set : 0) | 1U << (server & 31);
	if (!dry_run)
		bpf_map_update_elem(&localities, &key, &now, BPF_ANY);
	return server;
}

/* The ports of a TCP packet, as a hash takes them. */
INLINE __u32 visit_ports(struct packet *p)
{
	return (__u32)p->source_port << 16 | p->destination_port;
}

/* IPv4 clients have one for a network, those of IPv6 one each. */
INLINE void template_of(struct template_key *key, struct shares *s, __u32 director,
			struct packet *p)
{
	__builtin_memcpy(key->client, &p->source, sizeof(key->client));
	if (!p->six)
		key->client[3] &= s->client_mask;
	key->director = director;
}

/* The server that a client's template leads to, if it has one that holds. */
GLOBAL __u32 templated(__u32 settings, __u32 director, struct packet *p)
{
	struct shares *s = shares_of(settings, director);
	__u32 now_s, server;
	struct template_key key;
	struct template *t;

	if (!p || !s->template_s)
		return NO_SERVER;
	now_s = bpf_ktime_get_coarse_ns() / NS_PER_S;
	template_of(&key, s, director, p);
	t = bpf_map_lookup_elem(&templates, &key);
	if (!t)
		return NO_SERVER;
	server = t->server & (SERVERS_PER_DIRECTOR - 1);
	if (!(s->keeping >> server & 1) || (__s32)(now_s - t->used_s) > (__s32)s->template_s)
		return NO_SERVER;
	if (dry_run)
		explanation.chooser = CHOSEN_BY_TEMPLATE;
	else if (t->used_s != now_s)
		t->used_s = now_s;
	return server;
}

/* From now on the client's template leads to this server. */
GLOBAL __u32 make_template(__u32 settings, __u32 director, struct packet *p, __u32 server)
{
	struct shares *s = shares_of(settings, director);
	struct template t = {.server = server};
	struct template_key key;

	if (!p || !s->template_s || server == NO_SERVER || dry_run)
		return server;
	t.used_s = bpf_ktime_get_coarse_ns() / NS_PER_S;
	template_of(&key, s, director, p);
	bpf_map_update_elem(&templates, &key, &t, BPF_ANY);
	return server;
}

/* The choice for a packet in the middle of a connection that the table does not know. */
INLINE __u32 unknown_share(struct packet *p)
{
	__u32 server = templated(p->settings, p->director, p);

	if (server != NO_SERVER)
		return server;
	return placed_share(p->settings, p->director, p, visit_ports(p));
}

/* The scheduler's choice of a connection that begins. */
GLOBAL __u32 scheduled(struct packet *p)
{
	__u32 server = NO_SERVER;

	if (!p)
		return NO_SERVER;
	switch (shares_of(p->settings, p->director)->scheduler) {
	case SCHEDULE_TURNS:
		return next_turn(p->settings, p->director);
	case SCHEDULE_LEAST:
		return extreme(p->settings, p->director, EVERYONE, 0, 0);
	case SCHEDULE_NEVERQUEUE:
		server = idle(p->settings, p->director);
		if (server != NO_SERVER)
			return server;
		/* fall through */
	case SCHEDULE_SHORTEST:
		return extreme(p->settings, p->director, EVERYONE, 1, 0);
	case SCHEDULE_LOCALITY:
	case SCHEDULE_REPLICATION:
		return local_share(p);
	}
	return placed_share(p->settings, p->director, p, visit_ports(p));
}

/* The choice of a connection that begins. */
INLINE __u32 new_share(struct packet *p)
{
	__u32 server = templated(p->settings, p->director, p);

	if (server != NO_SERVER)
		return server;
	server = scheduled(p);
	if (dry_run)
		explanation.chooser = CHOSEN_BY_SCHEDULER;
	return make_template(p->settings, p->director, p, server);
}

#endif
