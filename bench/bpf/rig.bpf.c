// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * The rig that measures the data plane: a feed of ever different packets, the
 * floor that no director can be below, and the two ends of a whole path.
 */
#include "feed.h"

/* the programme under test */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} target SEC(".maps");

/*
 * One test run of many repetitions shows the programme under test another packet
 * each time. What the harness costs itself is measured with send_back under it.
 */
SEC("xdp.frags")
int harness(struct xdp_md *ctx)
{
	if (write_next((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	bpf_tail_call_static(ctx, &target, 0);
	return XDP_ABORTED;
}

/* The same feed as live frames, sent out of the interface of the test run. */
SEC("xdp.frags")
int generate(struct xdp_md *ctx)
{
	if (write_next((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	return XDP_TX;
}

__u64 sunk = 0; /* packets; one CPU only */

/* Where live frames end. */
SEC("xdp.frags")
int sink(struct xdp_md *ctx)
{
	sunk++;
	return XDP_DROP;
}

/* The floor: the least that XDP can do to send a frame on. */
SEC("xdp.frags")
int send_back(struct xdp_md *ctx)
{
	return XDP_TX;
}

const volatile __be32 vip = 0;
const volatile __u64 mac0 = 0; /* frame bytes 0-7 */
const volatile __u32 mac1 = 0; /* frame bytes 8-11 */

/* A director with no rules, no connections, no counters and no switch. */
SEC("xdp.frags")
int bare(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 34 > end || *(__be16 *)(data + 12) != bpf_htons(0x0800) ||
	    *(__be32 *)(data + 30) != vip)
		return XDP_PASS;
	*(__u64 *)data = mac0;
	*(__u32 *)(data + 8) = mac1;
	return XDP_TX;
}

/* The kernel's helpers need a GPL-compatible programme. */
char _license[] SEC("license") = "Dual BSD/GPL";
