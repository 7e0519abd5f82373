/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * From bytes to the fields that decisions need. Reads nothing but the packet.
 */
#ifndef FAIRLEAD_PARSE_H
#define FAIRLEAD_PARSE_H

#include "maps.h"

#define ETH_HLEN 14
#define ETHERTYPE_IPV4 bpf_htons(0x0800)
#define ETHERTYPE_ARP bpf_htons(0x0806)
#define ETHERTYPE_IPV6 bpf_htons(0x86dd)

enum protocol { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMPV6 = 58 };
/* extension headers of IPv6 (RFC 8200, 4) */
enum extension { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION_OPTIONS = 60 };
enum tcp_flag { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };

struct ethernet {
	__u8 destination[6], source[6];
	__be16 type;
};

struct ipv4 {
	__u8 version_ihl, tos;
	__be16 length, id, fragment;
	__u8 ttl, protocol;
	__be16 checksum;
	__be32 source, destination;
};

struct ipv6 {
	__be32 version; /* with traffic class and flow label */
	__be16 length;	/* of what follows the header */
	__u8 next, hop_limit;
	__be32 source[4], destination[4];
};

struct tcp {
	__be16 source, destination;
	__be32 seq, ack;
	__u8 offset, flags;
	__be16 window, checksum, urgent;
};

struct arp {
	__be16 hardware, protocol;
	__u8 hardware_length, protocol_length;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender;
	__u8 target_mac[6];
	__be32 target;
} __attribute__((packed));

/* a neighbour solicitation or advertisement (RFC 4861, 4.3 and 4.4) */
struct neighbour {
	__u8 type, code;
	__be16 checksum;
	__be32 flags;
	__be32 target[4];
};

enum shape {
	SHAPE_OTHER, /* neither IP nor ARP */
	SHAPE_ARP,
	SHAPE_MALFORMED, /* a destination can be read, no more */
	SHAPE_LATER,	 /* a fragment without ports */
	SHAPE_BARE,	 /* a protocol without ports */
	SHAPE_PORTS,	 /* with ports: UDP, or TCP without its header's rest */
	SHAPE_TCP,
};

/* an address of either family: IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2) */
union address {
	__be32 words[4];
	__u64 halves[2];
};

/* what is known of a packet, and asked of the rules and the connection table with it */
struct packet {
	union address source, destination;
	__be16 source_port, destination_port;
	__u32 ack, seq; /* host order */
	__u32 payload;	/* bytes of the TCP segment */
	__u8 protocol;	/* ICMPv6 is ICMP here, and what IPv6 would call ICMP is not */
	__u8 icmp_type;
	__u8 tcp_flags;
	__u8 partial;  /* its checksum is still to be completed by a device */
	__u8 six;      /* it is IPv6 */
	__u8 settings; /* index of those that it meets */
	/* to the conditions of rules, see ask_lists */
	__u8 lacks;  /* the conditions on what it does not have: they fail */
	__u8 hidden; /* those on what it hides, a fragment or malformed: see rule_holds */
	__u32 iface; /* where it arrived */

	/* to the connection table, see ask_table */
	__u16 generation; /* of the server's choice */
	__u8 director, server;
	__u16 choice_flags;

	__u16 segment; /* bytes of what a large frame is cut into later; 0: it is not */
	__u16 mtu;     /* of what would go on; 0: it goes on */
	__u16 remote;  /* where its server's struct remote is, plus 1; 0: only MACs change */
};

/* Stores an IPv4 address. */
INLINE void set_ipv4(union address *a, __be32 word)
{
	a->halves[0] = 0;
	a->words[2] = bpf_htonl(0xffff);
	a->words[3] = word;
}

/* Stores an IPv6 address. */
INLINE void set_ipv6(union address *a, __be32 *words)
{
	for (int i = 0; i < 4; i++)
		a->words[i] = words[i];
}

INLINE void set_words(__be32 *words, union address *a)
{
	for (int i = 0; i < 4; i++)
		words[i] = a->words[i];
}

INLINE __u32 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* the sum of a pseudo header, folded (RFC 9293, 3.1, and RFC 8200, 8.1) */
INLINE __u32 pseudo_sum(struct packet *p, __u8 protocol, __u16 length)
{
	__u64 sum = (__u64)p->source.words[3] + p->destination.words[3] + bpf_htons(protocol) +
		    bpf_htons(length);

	if (p->six)
		for (int i = 0; i < 3; i++)
			sum += (__u64)p->source.words[i] + p->destination.words[i];
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	return fold(sum);
}

/*
 * Version 4, no options, not a fragment: one load, one compare. The load takes
 * the first 8 bytes of the IP header; the mask leaves version, header length,
 * more-fragments and offset.
 */
INLINE int is_common(void *data)
{
	const __u64 mask = bpf_cpu_to_be64(0xff00000000003fffULL);

	return (*(__u64 *)(data + ETH_HLEN) & mask) == bpf_cpu_to_be64(0x4500000000000000ULL);
}

/* A checksum that is not yet complete holds the pseudo header's sum. */
INLINE int is_partial(struct packet *p, __u32 length, __be16 checksum)
{
	return checksum == (__be16)pseudo_sum(p, p->protocol, length);
}

/* length: of the TCP segment with its header */
INLINE void parse_tcp(struct packet *p, struct tcp *tcp, __u32 length)
{
	__u32 header = (tcp->offset >> 4) * 4;

	p->tcp_flags = tcp->flags;
	p->ack = bpf_ntohl(tcp->ack);
	p->seq = bpf_ntohl(tcp->seq);
	p->payload = length > header ? length - header : 0;
	p->partial = is_partial(p, length, tcp->checksum);
}

/* What follows the headers of IP: so many bytes, of p->protocol. */
INLINE enum shape parse_transport(struct packet *p, void *l4, void *end, __u32 length)
{
	if (p->protocol != PROTOCOL_TCP && p->protocol != PROTOCOL_UDP &&
	    p->protocol != PROTOCOL_ICMP)
		return SHAPE_BARE;
	if (l4 + 8 > end || length < 8)
		return SHAPE_MALFORMED;
	if (p->protocol == PROTOCOL_ICMP) {
		p->icmp_type = *(__u8 *)l4;
		return SHAPE_BARE;
	}
	p->source_port = *(__be16 *)l4;
	p->destination_port = *(__be16 *)(l4 + 2);
	if (p->protocol == PROTOCOL_UDP) {
		p->partial = is_partial(p, length, *(__be16 *)(l4 + 6));
		return SHAPE_PORTS;
	}
	if (l4 + sizeof(struct tcp) > end || length < sizeof(struct tcp))
		/* a tiny first fragment hides the flags (RFC 1858) */
		return SHAPE_MALFORMED;
	parse_tcp(p, l4, length);
	return SHAPE_TCP;
}

/*
 * Any IPv4 packet whose header is whole, options and fragments included. Not
 * inlined: all frames of a call together have 512 bytes of stack, and kernel 6.1 counts
 * what is inlined in full.
 */
static __attribute__((noinline)) enum shape parse_ipv4(struct packet *p, void *data, void *end)
{
	struct ipv4 *ip = data + ETH_HLEN;
	__u32 header = (ip->version_ihl & 0xf) * 4;
	__u32 length = bpf_ntohs(ip->length);
	void *l4 = data + ETH_HLEN + header;

	set_ipv4(&p->source, ip->source);
	p->protocol = ip->protocol;
	if (ip->version_ihl >> 4 != 4 || header < sizeof(*ip) || length < header || l4 > end)
		return SHAPE_MALFORMED;
	if (ip->fragment & bpf_htons(0x1fff))
		return SHAPE_LATER;
	return parse_transport(p, l4, end, length - header);
}

enum discovery {
	ROUTER_SOLICITATION = 133,
	SOLICITATION = 135,
	ADVERTISEMENT = 136,
	REDIRECT = 137
};

/*
 * Neighbour discovery (RFC 4861): the business of the machines of one cable, as ARP is,
 * and no traffic for rules. No router lets a hop limit of 255 pass.
 */
INLINE int is_discovery(void *data, void *end)
{
	struct ipv6 *ip = data + ETH_HLEN;
	struct neighbour *n = (void *)(ip + 1);

	return data + ETH_HLEN + sizeof(*ip) + 8 <= end && ip->next == PROTOCOL_ICMPV6 &&
	       ip->hop_limit == 255 && n->type >= ROUTER_SOLICITATION && n->type <= REDIRECT;
}

/* Lengths of a solicitation: bare, with one option of 8 bytes, with two. */
#define SOLICITATION_LENGTH sizeof(struct neighbour)
#define OPTION_LENGTH 8

/* Is it whole, with its checksum? p is overwritten. */
INLINE int is_solicitation(struct packet *p, struct ipv6 *ip, struct neighbour *n, void *end)
{
	__u32 length = bpf_ntohs(ip->length), sum, options;
	__u16 *w = (void *)n;

	if ((void *)(n + 1) > end || n->type != SOLICITATION || n->code)
		return 0;
	/* a probe (RFC 4862) goes to all who may have the address */
	if (!(ip->source[0] | ip->source[1] | ip->source[2] | ip->source[3]) &&
	    *(__u8 *)ip->destination != 0xff)
		return 0;
	set_ipv6(&p->source, ip->source);
	set_ipv6(&p->destination, ip->destination);
	sum = pseudo_sum(p, PROTOCOL_ICMPV6, length);
	for (int i = 0; i < (int)SOLICITATION_LENGTH / 2; i++)
		sum += w[i];
	options = (length - SOLICITATION_LENGTH) / OPTION_LENGTH;
	if (length != SOLICITATION_LENGTH + options * OPTION_LENGTH || options > 2)
		return 0;
	w = (void *)(n + 1);
	for (__u32 k = 0; k < 2; k++, w += OPTION_LENGTH / 2) {
		if (k == options)
			break;
		if ((void *)w + OPTION_LENGTH > end || ((__u8 *)w)[1] != 1)
			return 0;
		for (int i = 0; i < OPTION_LENGTH / 2; i++)
			sum += w[i];
	}
	return fold(sum) == 0xffff;
}

#define EXTENSIONS 6 /* so many extension headers are looked through */
#define MOST_EXTENSION_BYTES 1024

INLINE int is_extension(__u8 next)
{
	return next == HOP_BY_HOP || next == ROUTING || next == DESTINATION_OPTIONS ||
	       next == FRAGMENT;
}

/* The protocol of an IPv6 packet, as struct packet has it. */
INLINE __u8 protocol_of(__u8 next)
{
	return next == PROTOCOL_ICMPV6 ? PROTOCOL_ICMP :
	       next == PROTOCOL_ICMP   ? PROTOCOL_ICMPV6 :
					 next;
}

/*
 * Any IPv6 packet whose header is whole. A chain of extension headers that is longer
 * than any use of it, or not whole in a first fragment (RFC 7112), hides its protocol.
 */
static __attribute__((noinline)) enum shape parse_ipv6(struct packet *p, void *data, void *end)
{
	struct ipv6 *ip = data + ETH_HLEN;
	__u8 next, *header;
	__u64 at = 0; /* kernel 6.1 learns nothing from a narrow comparison */
	__u32 length;

	if ((void *)(ip + 1) > end) /* it was looked at before; the verifier has forgotten */
		return SHAPE_MALFORMED;
	length = bpf_ntohs(ip->length);
	next = ip->next;
	set_ipv6(&p->source, ip->source);
	p->hidden = ON_PROTOCOL;
	if ((ip->version & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return SHAPE_MALFORMED;
	for (int i = 0; i < EXTENSIONS && is_extension(next); i++) {
		header = (void *)(ip + 1) + at;
		if ((void *)header + 8 > end || length < at + 8)
			return SHAPE_MALFORMED;
		if (next == FRAGMENT && *(__be16 *)(header + 2) & bpf_htons(0xfff8)) {
			p->hidden = 0;
			p->protocol = protocol_of(header[0]);
			return SHAPE_LATER;
		}
		at += next == FRAGMENT ? 8 : header[1] * 8 + 8;
		next = header[0];
		barrier_var(at);
		if (at > MOST_EXTENSION_BYTES)
			return SHAPE_MALFORMED;
	}
	if (is_extension(next) || at > length)
		return SHAPE_MALFORMED;
	p->hidden = 0;
	p->protocol = protocol_of(next);
	return parse_transport(p, (void *)(ip + 1) + at, end, length - at);
}

#endif
