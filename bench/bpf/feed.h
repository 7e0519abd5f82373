/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Ever different packets: draws a connection, writes the headers of its packet,
 * and takes the time from the first packet to the last.
 *
 * The clock is read here because the system call around a test run also waits
 * for an RCU grace period, and reports whole nanoseconds only.
 */
#ifndef FAIRLEAD_BENCH_FEED_H
#define FAIRLEAD_BENCH_FEED_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define INLINE static __always_inline
#define HEADERS 54	 /* bytes: Ethernet, IPv4, TCP; more of UDP than it needs */
#define HEADERS6 74	 /* the same of IPv6 */
#define CLIENT_PORTS 512 /* of one address: 512 to 1023, as NFS clients use */

enum draw {
	DRAW_RANDOM,   /* one of so many connections */
	DRAW_IN_ORDER, /* each of so many connections in turn */
	DRAW_FRESH,    /* one that was never drawn before, from anywhere */
};

struct feed {
	__u64 random; /* state of DRAW_RANDOM */
	__u64 next;   /* state of the others */
	__u64 left;   /* packets still to come */
	__u64 packets;
	__u64 first_ns, last_ns; /* when the first and the last packet were written */
	__u32 connections;
	__u32 first_client; /* address, host order */
	enum draw draw;
	__u32 pad;
	__u8 headers[HEADERS6 + 6]; /* of a packet; source address and port are drawn */
};

struct feed state = {};

/* the client of the next packet, in host order */
struct client {
	__u32 address, port;
};

INLINE struct client draw_client(void)
{
	struct client c;
	__u64 i;

	if (state.draw == DRAW_RANDOM) {
		/* any full-period generator will do; its upper half is the better one */
		state.random = state.random * 6364136223846793005ULL + 1442695040888963407ULL;
		i = (state.random >> 32) * state.connections >> 32;
	} else {
		i = state.next++;
	}
	if (state.draw == DRAW_FRESH) {
		/* an odd factor: no address comes twice, and neighbours lie far apart */
		c.address = (__u32)i * 0x9E3779B1u;
		c.port = CLIENT_PORTS + ((i >> 32) & (CLIENT_PORTS - 1));
		return c;
	}
	c.address = state.first_client + (__u32)(i / CLIENT_PORTS);
	c.port = CLIENT_PORTS + (i & (CLIENT_PORTS - 1));
	return c;
}

INLINE void take_time(void)
{
	if (state.left == state.packets)
		state.first_ns = bpf_ktime_get_ns();
	if (--state.left == 0)
		state.last_ns = bpf_ktime_get_ns();
}

#define COPY(type, at) (*(type *)(data + (at)) = *(type *)(state.headers + (at)))

/*
 * Writes the whole headers anew. A store is at least as wide as any later load
 * of its bytes, and never ends inside one: a programme that reads its packet in
 * other pieces would wait for the store to reach the cache.
 */
INLINE int write_six(void *data, void *end)
{
	struct client c;

	if (data + HEADERS6 > end)
		return -1;
	take_time();
	c = draw_client();
	COPY(__u64, 0); /* MAC addresses */
	COPY(__u32, 8);
	COPY(__u16, 12); /* type */
	COPY(__u64, 14); /* version to hop limit */
	COPY(__u64, 22); /* source address */
	*(__u64 *)(data + 30) = (__u64)bpf_htonl(c.address) << 32 | *(__u32 *)(state.headers + 30);
	COPY(__u64, 38); /* destination address */
	COPY(__u64, 46);
	*(__u64 *)(data + 54) =
		(*(__u64 *)(state.headers + 54) & ~0xffffULL) | bpf_htons((__u16)c.port);
	COPY(__u32, 62); /* acknowledgment, across the cache line's end */
	COPY(__u64, 66); /* flags, window */
	return 0;
}

INLINE int write_next(void *data, void *end)
{
	struct client c;

	if (*(__u16 *)(state.headers + 12) == bpf_htons(0x86dd))
		return write_six(data, end);
	if (data + HEADERS > end)
		return -1;
	take_time();
	c = draw_client();
	COPY(__u64, 0); /* MAC addresses */
	COPY(__u32, 8);
	COPY(__u16, 12); /* type */
	COPY(__u64, 14); /* version to fragment */
	COPY(__u32, 22); /* time to live, protocol, checksum */
	*(__u64 *)(data + 26) =
		(__u64)(*(__u32 *)(state.headers + 30)) << 32 | bpf_htonl(c.address);
	*(__u64 *)(data + 34) =
		(*(__u64 *)(state.headers + 34) & ~0xffffULL) | bpf_htons((__u16)c.port);
	COPY(__u64, 42); /* acknowledgment, flags, window */
	COPY(__u32, 50);
	return 0;
}

#endif
