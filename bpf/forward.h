/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Rewrites a frame for its next hop, or turns it into the answer.
 */
#ifndef FAIRLEAD_FORWARD_H
#define FAIRLEAD_FORWARD_H

#include "parse.h"
#include "verdict.h"

#define RESET_LENGTH (ETH_HLEN + sizeof(struct ipv4) + sizeof(struct tcp))

/* Both MAC addresses, in two stores. */
INLINE void set_macs(void *data, __u64 mac0, __u32 mac1)
{
	*(__u64 *)data = mac0;
	*(__u32 *)(data + 8) = mac1;
}

INLINE void swap_macs(struct ethernet *eth)
{
	__u8 mac[6];

	__builtin_memcpy(mac, eth->source, 6);
	__builtin_memcpy(eth->source, eth->destination, 6);
	__builtin_memcpy(eth->destination, mac, 6);
}

/* Is the frame's destination the MAC that the director sends from? */
INLINE int is_for_us(void *data, struct choice *c)
{
	return *(__u32 *)(data + 2) == c->mac1 && *(__u16 *)data == (__u16)(c->mac0 >> 48);
}

/* An ICMP message that quotes a header without options and 8 bytes (RFC 792). */
#define QUOTED_LENGTH (sizeof(struct ipv4) + 8)
#define UNREACHABLE_LENGTH (ETH_HLEN + sizeof(struct ipv4) + 8 + QUOTED_LENGTH)

struct quoted {
	__u16 words[QUOTED_LENGTH / 2];
};

/* What a director without a server can refuse: TCP but for RST, and UDP. */
INLINE int can_refuse(struct packet *p)
{
	if (p->protocol == PROTOCOL_TCP)
		return p->tcp_flags && !(p->tcp_flags & TCP_RST);
	return p->protocol == PROTOCOL_UDP && p->source_port;
}

/* The length of the frame that answers a packet; 0: none does. */
INLINE __u32 answer_length(enum verdict verdict, struct packet *p)
{
	if (verdict == VERDICT_RESET)
		return RESET_LENGTH;
	if (verdict == VERDICT_TOO_BIG)
		return UNREACHABLE_LENGTH;
	if (verdict != VERDICT_REJECT)
		return 0;
	return p->protocol == PROTOCOL_TCP ? RESET_LENGTH : UNREACHABLE_LENGTH;
}

/* Keeps what an answer quotes, before the frame is cut or lengthened. */
INLINE int quote(struct quoted *q, void *data, void *end)
{
	struct ipv4 *ip = data + ETH_HLEN;

	if ((void *)ip + QUOTED_LENGTH > end || ip->version_ihl != 0x45)
		return -1;
	__builtin_memcpy(q, ip, QUOTED_LENGTH);
	return 0;
}

/* Starts the answer's IPv4 header: from the virtual IP to the client. */
INLINE void write_ipv4(struct ipv4 *ip, struct packet *p, __u8 protocol, __u16 length)
{
	__u32 sum = 0;
	__u16 *w = (void *)ip;

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version_ihl = 0x45;
	ip->length = bpf_htons(length);
	ip->fragment = bpf_htons(0x4000); /* do not fragment */
	ip->ttl = 64;
	ip->protocol = protocol;
	ip->source = p->destination;
	ip->destination = p->source;
	for (int i = 0; i < 10; i++)
		sum += w[i];
	ip->checksum = ~fold(sum);
}

/*
 * Writes "fragmentation needed", or else "port unreachable", over a frame of
 * UNREACHABLE_LENGTH.
 */
INLINE int write_unreachable(void *data, void *end, struct packet *p, struct quoted *q)
{
	struct ipv4 *ip = data + ETH_HLEN;
	__u16 *icmp = (void *)(ip + 1);
	__u32 sum = 0;

	if (data + UNREACHABLE_LENGTH > end)
		return -1;
	swap_macs(data);
	write_ipv4(ip, p, PROTOCOL_ICMP, UNREACHABLE_LENGTH - ETH_HLEN);
	icmp[0] = bpf_htons(3 << 8 | (p->mtu ? 4 : 3));
	icmp[1] = icmp[2] = 0;
	icmp[3] = bpf_htons(p->mtu);
	__builtin_memcpy(icmp + 4, q, QUOTED_LENGTH);
	for (int i = 0; i < 4 + (int)QUOTED_LENGTH / 2; i++)
		sum += icmp[i];
	icmp[1] = ~fold(sum);
	/*
	 * A device that still completes the packet's checksum writes over the answer where
	 * that one stood. It makes the whole sum right, hence of a 0 what has to be there.
	 */
	if (p->partial)
		icmp[p->protocol == PROTOCOL_TCP ? 8 : 3] = 0;
	return 0;
}

/*
 * Writes the RST that a segment asks for (RFC 9293, 3.10.7.1: seq = SEG.ACK, or
 * what acknowledges the segment when it has none) over a frame of RESET_LENGTH.
 */
INLINE int write_reset(void *data, void *end, struct packet *p)
{
	struct ethernet *eth = data;
	struct ipv4 *ip = data + ETH_HLEN;
	struct tcp *tcp = (void *)(ip + 1);
	__u16 *w = (void *)tcp;
	__u32 sum;

	if (data + RESET_LENGTH > end)
		return -1;
	swap_macs(eth);
	write_ipv4(ip, p, PROTOCOL_TCP, sizeof(*ip) + sizeof(*tcp));
	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->source = p->destination_port;
	tcp->destination = p->source_port;
	tcp->offset = 5 << 4;
	tcp->flags = TCP_RST;
	if (p->tcp_flags & TCP_ACK) {
		tcp->seq = bpf_htonl(p->ack);
	} else {
		tcp->ack = bpf_htonl(p->seq + p->payload + !!(p->tcp_flags & TCP_SYN) +
				     !!(p->tcp_flags & TCP_FIN));
		tcp->flags |= TCP_ACK;
	}
	sum = pseudo_sum(ip->source, ip->destination, PROTOCOL_TCP, sizeof(*tcp));
	if (p->partial) { /* the device completes it */
		tcp->checksum = sum;
		return 0;
	}
	for (int i = 0; i < 10; i++)
		sum += w[i];
	tcp->checksum = ~fold(sum);
	return 0;
}

/* Writes the answer of that length. */
INLINE int write_answer(void *data, void *end, struct packet *p, struct quoted *q, __u32 length)
{
	return length == RESET_LENGTH ? write_reset(data, end, p) :
					write_unreachable(data, end, p, q);
}

/* Turns a request into its reply (RFC 826): the address is at our MAC. */
INLINE void write_arp_reply(struct ethernet *eth, struct arp *arp, struct choice *c)
{
	__u8 mac[8];
	__be32 target = arp->target;

	*(__u16 *)mac = c->mac0 >> 48;
	*(__u32 *)(mac + 2) = c->mac1;
	__builtin_memcpy(eth->destination, eth->source, 6);
	__builtin_memcpy(eth->source, mac, 6);
	arp->operation = bpf_htons(2);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, 6);
	arp->target = arp->sender;
	__builtin_memcpy(arp->sender_mac, mac, 6);
	arp->sender = target;
}

#endif
