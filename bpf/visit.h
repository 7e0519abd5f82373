/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * One TCP packet's question to the connection table, and the form of the answer.
 */
#ifndef FAIRLEAD_VISIT_H
#define FAIRLEAD_VISIT_H

#include "parse.h"

struct visit {
	__be32 source, destination;
	__be16 source_port, destination_port;
	__u32 ack, seq;	  /* host order */
	__u32 payload;	  /* bytes */
	__u16 generation; /* of the server's choice */
	__u8 director, server;
	__u8 tcp_flags;
	__u8 settings; /* index of those that the packet meets */
	__u16 choice_flags;
};

/*
 * The answer: the verdict; in bits 8-23 the server, of FORWARD its index in the
 * director, of FORWARD_OLD its index in servers; from bit 24 what the daemon is
 * to be told, plus 1.
 */
#define ANSWER(verdict, server) ((__u32)(verdict) | (__u32)(server) << 8)
#define ANSWER_SIGHTING(kind) (((__u32)(kind) + 1) << 24)
#define ANSWER_VERDICT(answer) ((answer)&0xff)
#define ANSWER_SERVER(answer) ((answer) >> 8 & 0xffff)

INLINE __u64 hash(struct visit *v)
{
	__u64 h = (__u64)v->source << 32 | (__u32)v->source_port << 16 | v->destination_port;

	h = (h ^ shared.table.seed) * 0x9E3779B97F4A7C15ULL;
	h ^= h >> 32;
	h = (h + v->destination) * 0xD6E8FEB86659FD93ULL;
	return h ^ h >> 29;
}

INLINE struct server *server_of(__u32 settings, __u32 director, __u32 server)
{
	__u32 index = director * SERVERS_PER_DIRECTOR + (server & (SERVERS_PER_DIRECTOR - 1));

	barrier_var(index); /* kernel 6.1 follows no bound through what clang makes of this */

	return &shared.settings[settings & 1]
			.servers[index & (DIRECTORS * SERVERS_PER_DIRECTOR - 1)];
}

INLINE int is_opening(struct visit *v)
{
	return (v->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

#endif
