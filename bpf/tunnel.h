/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Mode tunnel: the client's packet goes to its server whole, in an IPv4 packet of the
 * director's own (IP in IP, RFC 2003). What does not fit in is not fragmented: the
 * client is told the length that does (RFC 1191), whether it forbade fragments or not.
 */
#ifndef FAIRLEAD_TUNNEL_H
#define FAIRLEAD_TUNNEL_H

#include "forward.h"
#include "visit.h"

#define PROTOCOL_IPIP 4
#define OUTER_LENGTH sizeof(struct ipv4)

#define REMOTES (DIRECTORS * SERVERS_PER_DIRECTOR)

/* How a server is reached, by its index in servers of both settings. */
INLINE struct remote *remote_at(__u32 place)
{
	__u32 settings = place / REMOTES & 1;

	barrier_var(settings);
	barrier_var(place);
	return &shared.settings[settings].remotes[place & (REMOTES - 1)];
}

/*
 * Does the packet not fit into the tunnel? Of a large frame that is cut into segments
 * later, each must fit: those of TCP become shorter by the outer header.
 */
INLINE int is_too_big(struct remote *r, struct packet *p, struct ipv4 *ip, __u32 segment)
{
	__u32 length = bpf_ntohs(ip->length);

	if (segment && p->protocol == PROTOCOL_TCP)
		length = length - p->payload + segment - OUTER_LENGTH;
	else if (segment)
		length = sizeof(*ip) + 8 + segment;
	return length + OUTER_LENGTH > r->mtu;
}

/* May its sender be told? Of a first fragment, and of no ICMP error (RFC 1122, 3.2.2). */
INLINE int can_tell(struct packet *p, struct ipv4 *ip)
{
	return !(ip->fragment & bpf_htons(0x1fff)) && ip->version_ihl == 0x45 &&
	       (p->protocol != PROTOCOL_ICMP || p->icmp_type == 8);
}

/* Writes the outer header, once there is room for it behind the Ethernet header. */
INLINE void write_outer(struct ipv4 *outer, struct remote *r)
{
	struct ipv4 *inner = outer + 1;
	__u16 *w = (void *)outer;
	__u32 sum = 0;

	outer->version_ihl = 0x45;
	outer->tos = inner->tos; /* DSCP and ECN (RFC 6040, 4.1) */
	outer->length = bpf_htons(bpf_ntohs(inner->length) + OUTER_LENGTH);
	outer->id = inner->id;
	outer->fragment = bpf_htons(0x4000); /* do not fragment */
	outer->ttl = 64;
	outer->protocol = PROTOCOL_IPIP;
	outer->checksum = 0;
	outer->source = r->source;
	outer->destination = r->server;
	for (int i = 0; i < 10; i++)
		sum += w[i];
	outer->checksum = ~fold(sum);
}

/* Both functions are of their own for the stack's sake: see respond_xdp. */
static __attribute__((noinline)) int wrap_xdp(struct xdp_md *ctx, __u32 place)
{
	struct macs {
		__u32 words[3];
	} macs;
	void *data, *end;

	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN > end)
		return 1;
	__builtin_memcpy(&macs, data, sizeof(macs));
	if (bpf_xdp_adjust_head(ctx, -(int)OUTER_LENGTH))
		return 1;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN + 2 * sizeof(struct ipv4) > end)
		return 1;
	__builtin_memcpy(data, &macs, sizeof(macs));
	((struct ethernet *)data)->type = ETHERTYPE_IPV4;
	write_outer(data + ETH_HLEN, remote_at(place));
	return 0;
}

static __attribute__((noinline)) int wrap_tc(struct __sk_buff *skb, __u32 place)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	struct ipv4 *ip = data + ETH_HLEN;

	if ((void *)(ip + 1) > end)
		return 1;
	/* segments of TCP may become shorter by the outer header, datagrams may not */
	if (ip->protocol != PROTOCOL_TCP)
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	if (bpf_skb_adjust_room(skb, OUTER_LENGTH, BPF_ADJ_ROOM_MAC, flags))
		return 1;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (data + ETH_HLEN + 2 * sizeof(struct ipv4) > end)
		return 1;
	write_outer(data + ETH_HLEN, remote_at(place));
	return 0;
}

#endif
