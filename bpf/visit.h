/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What a TCP packet's visit to the connection table begins with, and the form of its
 * answer.
 */
#ifndef FAIRLEAD_VISIT_H
#define FAIRLEAD_VISIT_H

#include "parse.h"

/*
 * The answer: the verdict; in bits 8-23 the server, of FORWARD its index in the
 * director, of FORWARD_OLD its index in servers; from bit 24 what the daemon is
 * to be told, plus 1.
 */
#define ANSWER(verdict, server) ((__u32)(verdict) | (__u32)(server) << 8)
#define ANSWER_SIGHTING(kind) (((__u32)(kind) + 1) << 24)
#define ANSWER_VERDICT(answer) ((answer)&0xff)
#define ANSWER_SERVER(answer) ((answer) >> 8 & 0xffff)

/* the tag's lowest bit: an entry of one family is never taken for one of the other */
#define HASH_OF_SIX (1ULL << 44)

/* What an IPv6 packet's hash begins with: all of its addresses but their last words. */
INLINE __u64 hash_of_six(struct packet *p)
{
	__u64 h = (p->source.halves[0] ^ shared.table.seed) * 0xBF58476D1CE4E5B9ULL;

	h ^= h >> 32;
	h += (__u64)p->source.words[2] << 32 | p->destination.words[2];
	h *= 0x94D049BB133111EBULL;
	h ^= h >> 29;
	return (h + p->destination.halves[0]) * 0xBF58476D1CE4E5B9ULL;
}

/* The ports: the source's in the upper half. */
INLINE __u64 mix(__be32 source, __be32 destination, __u32 ports, __u64 of_six)
{
	__u64 h = ((__u64)source << 32 | ports) ^ of_six;

	h = (h ^ shared.table.seed) * 0x9E3779B97F4A7C15ULL;
	h ^= h >> 32;
	h = (h + destination) * 0xD6E8FEB86659FD93ULL;
	return h ^ h >> 29;
}

INLINE __u64 hash_from(struct packet *p, __be16 source_port)
{
	__u64 h = mix(p->source.words[3], p->destination.words[3],
		      (__u32)source_port << 16 | p->destination_port, p->six ? hash_of_six(p) : 0);

	return p->six ? h | HASH_OF_SIX : h & ~HASH_OF_SIX;
}

/* of its connection */
INLINE __u64 hash(struct packet *p)
{
	return hash_from(p, p->source_port);
}

INLINE struct server *server_of(__u32 settings, __u32 director, __u32 server)
{
	__u32 index = director * SERVERS_PER_DIRECTOR + (server & (SERVERS_PER_DIRECTOR - 1));

	barrier_var(index); /* kernel 6.1 follows no bound through what clang makes of this */

	return &shared.settings[settings & 1]
			.servers[index & (DIRECTORS * SERVERS_PER_DIRECTOR - 1)];
}

INLINE int is_opening(struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

#endif
