/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Rewrites a frame for its next hop, or turns it into the answer.
 */
#ifndef FAIRLEAD_FORWARD_H
#define FAIRLEAD_FORWARD_H

#include "parse.h"

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

/*
 * Writes the RST that the client's ACK asks for (RFC 9293, 3.10.7.1: seq =
 * SEG.ACK) over a frame that was already cut to RESET_LENGTH.
 */
INLINE int write_reset(void *data, void *end, struct packet *p)
{
	struct ethernet *eth = data;
	struct ipv4 *ip = data + ETH_HLEN;
	struct tcp *tcp = (void *)(ip + 1);
	__u32 sum = 0;
	__u16 *w = (void *)ip;

	if (data + RESET_LENGTH > end)
		return -1;
	swap_macs(eth);
	__builtin_memset(ip, 0, sizeof(*ip) + sizeof(*tcp));
	ip->version_ihl = 0x45;
	ip->length = bpf_htons(sizeof(*ip) + sizeof(*tcp));
	ip->fragment = bpf_htons(0x4000); /* do not fragment */
	ip->ttl = 64;
	ip->protocol = PROTOCOL_TCP;
	ip->source = p->destination;
	ip->destination = p->source;
	for (int i = 0; i < 10; i++)
		sum += w[i];
	ip->checksum = ~fold(sum);
	tcp->source = p->destination_port;
	tcp->destination = p->source_port;
	tcp->seq = bpf_htonl(p->ack);
	tcp->offset = 5 << 4;
	tcp->flags = TCP_RST;
	sum = pseudo_sum(ip->source, ip->destination, sizeof(*tcp));
	if (p->partial) { /* the device completes it */
		tcp->checksum = sum;
		return 0;
	}
	w = (void *)tcp;
	for (int i = 0; i < 10; i++)
		sum += w[i];
	tcp->checksum = ~fold(sum);
	return 0;
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
