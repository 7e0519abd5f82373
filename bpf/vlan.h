/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * VLAN tags (802.1Q, and 802.1ad before it). A tagged frame goes the careful way as if it
 * had none, and leaves with its own: so nothing else needs to know of tags. In XDP they
 * are in the frame; tc has the outer one beside it.
 */
#ifndef FAIRLEAD_VLAN_H
#define FAIRLEAD_VLAN_H

#include "flow.h"

#define ETHERTYPE_VLAN bpf_htons(0x8100)
#define ETHERTYPE_VLAN_OUTER bpf_htons(0x88a8)
#define TAG_LENGTH 4
#define MACS_LENGTH 12

INLINE int is_tag(__be16 type)
{
	return type == ETHERTYPE_VLAN || type == ETHERTYPE_VLAN_OUTER;
}

INLINE int is_tagged(void *data, void *end)
{
	return data + ETH_HLEN <= end && is_tag(((struct ethernet *)data)->type);
}

#define TC_NEXT (-1) /* the next programme, in the end the stack */
#define TC_DROP 2

struct macs {
	__u32 words[3];
};

/* May what lies behind the tags be ours? l3 is behind them, and the type before it. */
INLINE int may_be_ours(void *l3, void *end)
{
	struct flow_set *set = flows_of(current_settings());
	struct ipv4 *ip = l3;
	__be16 type;

	if ((void *)(ip + 1) > end)
		return 0;
	type = *(__be16 *)(l3 - 2);
	if (type == ETHERTYPE_IPV4)
		return set->general.number || vip_slot(set, ip->destination) != NO_SLOT;
	return type == ETHERTYPE_ARP || type == ETHERTYPE_IPV6;
}

/* Takes the tags off. Returns them, one or two of 4 bytes; 0: the frame is as it was. */
static __attribute__((noinline)) __u64 untag_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 length = TAG_LENGTH;
	struct macs macs;
	__u64 tags;

	if (data + MACS_LENGTH + 2 * TAG_LENGTH + 2 > end)
		return 0;
	tags = *(__u32 *)(data + MACS_LENGTH);
	if (is_tag(*(__be16 *)(data + MACS_LENGTH + TAG_LENGTH))) {
		tags |= (__u64) * (__u32 *)(data + MACS_LENGTH + TAG_LENGTH) << 32;
		length = 2 * TAG_LENGTH;
		if (!may_be_ours(data + ETH_HLEN + 2 * TAG_LENGTH, end))
			return 0;
	} else if (!may_be_ours(data + ETH_HLEN + TAG_LENGTH, end)) {
		return 0;
	}
	__builtin_memcpy(&macs, data, sizeof(macs));
	if (bpf_xdp_adjust_head(ctx, length))
		return 0;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + MACS_LENGTH > end)
		return 0;
	__builtin_memcpy(data, &macs, sizeof(macs));
	return tags;
}

/* Puts them back. What cannot have them may go nowhere. */
static __attribute__((noinline)) int retag_xdp(struct xdp_md *ctx, __u64 tags, int action)
{
	__u32 length = tags >> 32 ? 2 * TAG_LENGTH : TAG_LENGTH;
	void *data, *end;
	struct macs macs;

	if (action == XDP_DROP)
		return action;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + MACS_LENGTH > end)
		return XDP_DROP;
	__builtin_memcpy(&macs, data, sizeof(macs));
	if (bpf_xdp_adjust_head(ctx, -(int)length))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + MACS_LENGTH + 2 * TAG_LENGTH > end)
		return XDP_DROP;
	__builtin_memcpy(data, &macs, sizeof(macs));
	*(__u32 *)(data + MACS_LENGTH) = tags;
	if (tags >> 32)
		*(__u32 *)(data + MACS_LENGTH + TAG_LENGTH) = tags >> 32;
	return action;
}

/*
 * A frame with two tags: the outer one is beside it, the inner one still in it. Without
 * the outer one it is a frame as any other. Returns the outer one; 0: there is none.
 */
static __attribute__((noinline)) __u64 untag_tc(struct __sk_buff *skb)
{
	__u32 tag = skb->vlan_tci, kind;

	barrier_var(tag); /* one word at a time: the verifier knows no wider ones */
	kind = skb->vlan_proto;
	barrier_var(kind);
	return skb->vlan_present && !bpf_skb_vlan_pop(skb) ? (__u64)kind << 32 | tag : 0;
}

static __attribute__((noinline)) int retag_tc(struct __sk_buff *skb, __u64 tags, int action)
{
	if (action != TC_DROP && bpf_skb_vlan_push(skb, tags >> 32, tags & 0xffff))
		return TC_DROP;
	return action;
}

#endif
