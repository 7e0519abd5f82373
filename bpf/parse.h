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

enum protocol { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };
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

enum shape {
	SHAPE_OTHER, /* neither IPv4 nor ARP */
	SHAPE_ARP,
	SHAPE_MALFORMED, /* an IPv4 destination can be read, no more */
	SHAPE_LATER,	 /* IPv4, a fragment without ports */
	SHAPE_BARE,	 /* IPv4, a protocol without ports */
	SHAPE_PORTS,	 /* IPv4 with ports: UDP, or TCP without its header's rest */
	SHAPE_TCP,
};

struct packet {
	__be32 source, destination;
	__be16 source_port, destination_port;
	__u32 ack, seq; /* host order */
	__u32 payload;	/* bytes of the TCP segment */
	__u8 protocol;
	__u8 icmp_type;
	__u8 tcp_flags;
	__u8 partial; /* its checksum is still to be completed by a device */
	__u16 mtu;    /* of what would go on; 0: it goes on */
	__u16 remote; /* where its server's struct remote is, plus 1; 0: only MACs change */
};

/* the sum of a pseudo header, folded (RFC 9293, 3.1) */
INLINE __u32 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

INLINE __u32 pseudo_sum(__be32 source, __be32 destination, __u8 protocol, __u16 length)
{
	return fold((source & 0xffff) + (source >> 16) + (destination & 0xffff) +
		    (destination >> 16) + bpf_htons(protocol) + bpf_htons(length));
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
INLINE int is_partial(struct ipv4 *ip, __u32 header, __be16 checksum)
{
	return checksum == (__be16)pseudo_sum(ip->source, ip->destination, ip->protocol,
					      bpf_ntohs(ip->length) - header);
}

INLINE void parse_tcp(struct packet *p, struct ipv4 *ip, struct tcp *tcp, __u32 header)
{
	__u32 headers = header + (tcp->offset >> 4) * 4, length = bpf_ntohs(ip->length);

	p->tcp_flags = tcp->flags;
	p->ack = bpf_ntohl(tcp->ack);
	p->seq = bpf_ntohl(tcp->seq);
	p->payload = length > headers ? length - headers : 0;
	p->partial = is_partial(ip, header, tcp->checksum);
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

	p->source = ip->source;
	p->protocol = ip->protocol;
	if (ip->version_ihl >> 4 != 4 || header < sizeof(*ip) || length < header || l4 > end)
		return SHAPE_MALFORMED;
	if (ip->fragment & bpf_htons(0x1fff))
		return SHAPE_LATER;
	if (p->protocol == PROTOCOL_ICMP) {
		if (l4 + 8 > end || length < header + 8)
			return SHAPE_MALFORMED;
		p->icmp_type = *(__u8 *)l4;
		return SHAPE_BARE;
	}
	if (p->protocol != PROTOCOL_TCP && p->protocol != PROTOCOL_UDP)
		return SHAPE_BARE;
	if (l4 + 8 > end || length < header + 8)
		return SHAPE_MALFORMED;
	p->source_port = *(__be16 *)l4;
	p->destination_port = *(__be16 *)(l4 + 2);
	if (p->protocol == PROTOCOL_UDP) {
		p->partial = is_partial(ip, header, *(__be16 *)(l4 + 6));
		return SHAPE_PORTS;
	}
	if (l4 + sizeof(struct tcp) > end || length < header + sizeof(struct tcp))
		/* a tiny first fragment hides the flags (RFC 1858) */
		return SHAPE_MALFORMED;
	parse_tcp(p, ip, l4, header);
	return SHAPE_TCP;
}

#endif
