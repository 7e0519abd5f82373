/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Rewrites a frame for its next hop, or turns it into the answer.
 */
#ifndef FAIRLEAD_FORWARD_H
#define FAIRLEAD_FORWARD_H

#include "parse.h"
#include "verdict.h"

#define RESET_LENGTH (ETH_HLEN + sizeof(struct ipv4) + sizeof(struct tcp))
#define RESET6_LENGTH (ETH_HLEN + sizeof(struct ipv6) + sizeof(struct tcp))

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

/* Addresses the frame to the MAC that the director sends from. */
INLINE void set_destination(struct ethernet *eth, struct choice *c)
{
	__u8 mac[8];

	*(__u16 *)mac = c->mac0 >> 48;
	*(__u32 *)(mac + 2) = c->mac1;
	__builtin_memcpy(eth->destination, mac, 6);
}

/* An ICMP message that quotes a header without options and 8 bytes (RFC 792). */
#define QUOTED_LENGTH (sizeof(struct ipv4) + 8)
#define UNREACHABLE_LENGTH (ETH_HLEN + sizeof(struct ipv4) + 8 + QUOTED_LENGTH)

/* The same of ICMPv6 (RFC 4443, 3.1), which may quote more. */
#define QUOTED6_LENGTH (sizeof(struct ipv6) + 8)
#define UNREACHABLE6_LENGTH (ETH_HLEN + sizeof(struct ipv6) + 8 + QUOTED6_LENGTH)

/*
 * The checksum of a frame that came from a neighbour on the same machine is perhaps not
 * complete: a device completes it where it stood, or nobody does. So that an ICMP answer
 * to it is right both ways, its IPv4 header has room there: options that end at once.
 */
#define SPARE_LENGTH 20
#define SPARED_LENGTH (UNREACHABLE_LENGTH + SPARE_LENGTH)

struct quoted {
	__u16 words[QUOTED6_LENGTH / 2];
};

/* A neighbour advertisement with the option that tells a MAC (RFC 4861, 4.4 and 4.6.1). */
#define ADVERTISEMENT_LENGTH (sizeof(struct neighbour) + OPTION_LENGTH)
#define DISCOVERY_LENGTH (ETH_HLEN + sizeof(struct ipv6) + ADVERTISEMENT_LENGTH)

/*
 * What a director without a server can refuse: TCP but for RST, and UDP. Not UDP of IPv6
 * whose checksum a device would still complete: it would spoil the answer's.
 */
INLINE int can_refuse(struct packet *p)
{
	if (p->six && p->protocol == PROTOCOL_UDP && p->partial)
		return 0;
	if (p->protocol == PROTOCOL_TCP)
		return p->tcp_flags && !(p->tcp_flags & TCP_RST);
	return p->protocol == PROTOCOL_UDP && p->source_port;
}

/* The length of the frame that answers a packet; 0: none does, or it is written already. */
INLINE __u32 answer_length(enum verdict verdict, struct packet *p)
{
	if (verdict == VERDICT_ARP_REPLY)
		return p->six ? DISCOVERY_LENGTH : 0;
	if (verdict == VERDICT_TOO_BIG)
		return p->partial ? SPARED_LENGTH : UNREACHABLE_LENGTH;
	if (verdict != VERDICT_RESET && verdict != VERDICT_REJECT)
		return 0;
	if (verdict == VERDICT_RESET || p->protocol == PROTOCOL_TCP)
		return p->six ? RESET6_LENGTH : RESET_LENGTH;
	return p->six ? UNREACHABLE6_LENGTH : UNREACHABLE_LENGTH;
}

/* Keeps what an answer quotes, before the frame is cut or lengthened. */
INLINE int quote(struct quoted *q, void *data, void *end, __u32 answer)
{
	struct ipv4 *ip = data + ETH_HLEN;

	if (answer == UNREACHABLE6_LENGTH) {
		if ((void *)ip + QUOTED6_LENGTH > end)
			return -1;
		__builtin_memcpy(q, ip, QUOTED6_LENGTH);
	} else if (answer == UNREACHABLE_LENGTH || answer == SPARED_LENGTH) {
		if ((void *)ip + QUOTED_LENGTH > end || ip->version_ihl != 0x45)
			return -1;
		__builtin_memcpy(q, ip, QUOTED_LENGTH);
	}
	return 0;
}

/*
 * Starts the answer's IPv4 header: from the virtual IP to the client. All options are 0,
 * which ends them.
 */
INLINE void write_ipv4(struct ipv4 *ip, struct packet *p, __u8 protocol, __u16 length,
		       __u32 options)
{
	__u32 sum = 0;
	__u16 *w = (void *)ip;

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version_ihl = 0x45 + options / 4;
	ip->length = bpf_htons(sizeof(*ip) + options + length);
	ip->fragment = bpf_htons(0x4000); /* do not fragment */
	ip->ttl = 64;
	ip->protocol = protocol;
	ip->source = p->destination.words[3];
	ip->destination = p->source.words[3];
	for (int i = 0; i < 10; i++)
		sum += w[i];
	ip->checksum = ~fold(sum);
}

/* The same of IPv6. */
INLINE void write_ipv6(struct ipv6 *ip, struct packet *p, __u8 protocol, __u16 length)
{
	ip->version = bpf_htonl(0x60000000);
	ip->length = bpf_htons(length);
	ip->next = protocol;
	ip->hop_limit =
		protocol == PROTOCOL_ICMPV6 ? 255 : 64; /* neighbour discovery asks for it */
	for (int i = 0; i < 4; i++) {
		ip->source[i] = p->destination.words[i];
		ip->destination[i] = p->source.words[i];
	}
}

/* The checksum of an ICMPv6 message, whose own is 0 as yet. */
INLINE __u16 icmpv6_sum(struct packet *p, __u16 *w, __u32 length)
{
	__u32 sum = pseudo_sum(p, PROTOCOL_ICMPV6, length);

	for (__u32 i = 0; i < length / 2; i++)
		sum += w[i];
	return ~fold(sum);
}

/*
 * Writes "fragmentation needed", or else "port unreachable", over a frame of
 * UNREACHABLE_LENGTH and the options.
 */
INLINE int write_unreachable(void *data, void *end, struct packet *p, struct quoted *q,
			     const __u32 options)
{
	struct ipv4 *ip = data + ETH_HLEN;
	__u16 *icmp = (void *)(ip + 1) + options;
	__u32 sum = 0;

	if (data + UNREACHABLE_LENGTH + options > end)
		return -1;
	swap_macs(data);
	write_ipv4(ip, p, PROTOCOL_ICMP, 8 + QUOTED_LENGTH, options);
	__builtin_memset(ip + 1, 0, options);
	icmp[0] = bpf_htons(3 << 8 | (p->mtu ? 4 : 3));
	icmp[1] = icmp[2] = 0;
	icmp[3] = bpf_htons(p->mtu);
	__builtin_memcpy(icmp + 4, q, QUOTED_LENGTH);
	for (int i = 0; i < 4 + (int)QUOTED_LENGTH / 2; i++)
		sum += icmp[i];
	icmp[1] = ~fold(sum);
	return 0;
}

/* The same over a frame of UNREACHABLE6_LENGTH. */
INLINE int write_unreachable6(void *data, void *end, struct packet *p, struct quoted *q)
{
	struct ipv6 *ip = data + ETH_HLEN;
	__u16 *icmp = (void *)(ip + 1);

	if (data + UNREACHABLE6_LENGTH > end)
		return -1;
	swap_macs(data);
	write_ipv6(ip, p, PROTOCOL_ICMPV6, 8 + QUOTED6_LENGTH);
	icmp[0] = bpf_htons(1 << 8 | 4);
	icmp[1] = icmp[2] = icmp[3] = 0;
	__builtin_memcpy(icmp + 4, q, QUOTED6_LENGTH);
	icmp[1] = icmpv6_sum(p, icmp, 8 + QUOTED6_LENGTH);
	return 0;
}

/* The flags of an advertisement (RFC 4861, 4.4). */
#define SOLICITED 0x40000000
#define OVERRIDE 0x20000000

/* Writes the advertisement of p's destination over a frame of DISCOVERY_LENGTH. */
INLINE int write_advertisement(void *data, void *end, struct packet *p)
{
	struct ethernet *eth = data;
	struct ipv6 *ip = data + ETH_HLEN;
	struct neighbour *n = (void *)(ip + 1);
	__u8 *option = (void *)(n + 1);
	__u32 flags = SOLICITED | OVERRIDE;

	if (data + DISCOVERY_LENGTH > end)
		return -1;
	swap_macs(eth);
	if (!(p->source.halves[0] | p->source.halves[1])) {
		/* a probe: to all nodes (RFC 4861, 7.2.4), so that whoever probes hears it */
		p->source.words[0] = bpf_htonl(0xff020000);
		p->source.words[3] = bpf_htonl(1);
		*(__be16 *)eth->destination = bpf_htons(0x3333);
		*(__be32 *)(eth->destination + 2) = bpf_htonl(1);
		flags = OVERRIDE;
	}
	write_ipv6(ip, p, PROTOCOL_ICMPV6, ADVERTISEMENT_LENGTH);
	n->type = ADVERTISEMENT;
	n->code = 0;
	n->checksum = 0;
	n->flags = bpf_htonl(flags);
	set_words(n->target, &p->destination);
	option[0] = 2; /* the target's link-layer address */
	option[1] = 1;
	__builtin_memcpy(option + 2, eth->source, 6);
	n->checksum = icmpv6_sum(p, (void *)n, ADVERTISEMENT_LENGTH);
	return 0;
}

/*
 * Writes the RST that a segment asks for (RFC 9293, 3.10.7.1: seq = SEG.ACK, or
 * what acknowledges the segment when it has none).
 */
INLINE void write_tcp_reset(struct tcp *tcp, struct packet *p)
{
	__u16 *w = (void *)tcp;
	__u32 sum;

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
	sum = pseudo_sum(p, PROTOCOL_TCP, sizeof(*tcp));
	if (p->partial) { /* the device completes it */
		tcp->checksum = sum;
		return;
	}
	for (int i = 0; i < 10; i++)
		sum += w[i];
	tcp->checksum = ~fold(sum);
}

/* Writes the RST over a frame of RESET_LENGTH or RESET6_LENGTH. */
INLINE int write_reset(void *data, void *end, struct packet *p)
{
	void *ip = data + ETH_HLEN;

	if (data + RESET_LENGTH > end || (p->six && data + RESET6_LENGTH > end))
		return -1;
	swap_macs(data);
	if (p->six && data + RESET6_LENGTH <= end) {
		write_ipv6(ip, p, PROTOCOL_TCP, sizeof(struct tcp));
		write_tcp_reset(ip + sizeof(struct ipv6), p);
	} else {
		write_ipv4(ip, p, PROTOCOL_TCP, sizeof(struct tcp), 0);
		write_tcp_reset(ip + sizeof(struct ipv4), p);
	}
	return 0;
}

/* Writes the answer of that length. */
INLINE int write_answer(void *data, void *end, struct packet *p, struct quoted *q, __u32 length)
{
	switch (length) {
	case DISCOVERY_LENGTH:
		return write_advertisement(data, end, p);
	case UNREACHABLE_LENGTH:
		return write_unreachable(data, end, p, q, 0);
	case SPARED_LENGTH:
		return write_unreachable(data, end, p, q, SPARE_LENGTH);
	case UNREACHABLE6_LENGTH:
		return write_unreachable6(data, end, p, q);
	}
	return write_reset(data, end, p);
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
