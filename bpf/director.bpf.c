// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Fairlead's data plane. A packet travels: parse, flow rule, connection,
 * server, forward; it leaves with one verdict. The same code is an XDP
 * programme (native or generic) and a tc one.
 */
#include "direct.h"
#include "vlan.h"

INLINE void count(__u32 flow, __u32 column, __u32 length)
{
	struct row *row = dry_run ? 0 : bpf_map_lookup_elem(&counters, &flow);

	if (row) {
		struct counter *n = &row->columns[column & (COLUMNS - 1)];

		n->packets++;
		n->bytes += length;
	}
}

/* the column of packets that were forwarded to a server */
INLINE __u32 server_column(__u32 server)
{
	return COLUMN_SERVERS + (server & (SERVERS_PER_DIRECTOR - 1));
}

/* Leaves what was decided. */
INLINE void explain(struct outcome *o)
{
	explanation.verdict = o->verdict;
	explanation.sighting = o->sighting;
	explanation.server = o->server;
	explanation.flow = o->flow;
	explanation.director = o->director;
	if (explanation.chooser == CHOSEN_BY_NOBODY && o->verdict == VERDICT_FORWARD)
		explanation.chooser = CHOSEN_BY_DIRECTOR;
}

/* Is the server of what is forwarded behind a tunnel, and does the packet fit in? */
INLINE void find_remote(struct outcome *o, struct packet *p, void *data, void *end)
{
	__u32 place = o->settings * REMOTES + o->server;
	struct ipv4 *ip = data + ETH_HLEN;
	struct remote *r;

	if (o->verdict == VERDICT_FORWARD)
		place += o->director * SERVERS_PER_DIRECTOR;
	else if (o->verdict != VERDICT_FORWARD_OLD)
		return;
	r = remote_at(place);
	if (r->mode != MODE_TUNNEL || (void *)(ip + 1) > end)
		return;
	if (p->six) { /* the configuration leads none here */
		o->verdict = VERDICT_DROP_NO_SERVER;
		return;
	}
	p->remote = place + 1;
	if (!is_too_big(r, p, ip, p->segment))
		return;
	p->mtu = r->mtu - OUTER_LENGTH;
	o->verdict = can_tell(p, ip) ? VERDICT_TOO_BIG : VERDICT_DROP_TOO_BIG;
}

/*
 * Tells the daemon what it should know, rewrites what is forwarded, and counts
 * the packet under its verdict.
 */
static __attribute__((noinline)) enum verdict finish(struct outcome *o, struct packet *p,
						     void *data, void *end, __u32 length)
{
	__u32 column, balanced = o->choice && o->choice->flags & CHOICE_BALANCED;
	struct server *s = 0;

	if (unlikely(o->sighting) &&
	    !hand_over(o->sighting - 1, p, o->director, o->server, data, end) &&
	    o->verdict == VERDICT_HELD)
		/* nobody could keep it: on hold it may go nowhere, else where it would have gone */
		o->verdict =
			o->sighting == SIGHTING_RECONNECT + 1 ? VERDICT_FORWARD : VERDICT_DROP_HOLD;
	if (o->verdict == VERDICT_DROP_NO_SERVER && o->choice && o->choice->flags & CHOICE_REJECT &&
	    can_refuse(p))
		o->verdict = VERDICT_REJECT;
	if (o->verdict == VERDICT_FORWARD && balanced)
		s = server_of(o->settings, o->director, o->server);
	else if (o->verdict == VERDICT_FORWARD_OLD)
		s = server_of(o->settings, 0, 0) +
		    (o->server & (DIRECTORS * SERVERS_PER_DIRECTOR - 1));
	if (s && !s->mac0)
		o->verdict = VERDICT_DROP_NO_SERVER;
	find_remote(o, p, data, end);
	barrier_var(s); /* or clang asks something else than whether it is there */

	column = o->verdict;
	if (o->verdict == VERDICT_FORWARD)
		column = server_column(o->server);
	/* the bounds were checked before, which the verifier has forgotten */
	if (data + 12 > end)
		s = 0;
	else if (o->verdict == VERDICT_FORWARD && !balanced)
		set_macs(data, o->choice->mac0, o->choice->mac1);
	else if (s && s->mac0)
		set_macs(data, s->mac0, s->mac1);
	count(o->flow, column, length);
	if (dry_run)
		explain(o);
	return o->verdict;
}

/* Not inlined: its frame is not the one of those who call it. */
static __attribute__((noinline)) int capture_frame(void *ctx, __u32 verdict, __u32 iface,
						   __u32 length)
{
	struct captured c = {.iface = iface, .length = length, .verdict = verdict};
	__u64 keep = length < 2048 ? length : 2048;

	return bpf_perf_event_output(ctx, &captures, keep << 32 | BPF_F_CURRENT_CPU, &c, sizeof(c));
}

INLINE void copy_out(void *ctx, enum verdict verdict, __u32 iface, __u32 length)
{
	if (capture && verdict > VERDICT_PERMIT)
		capture_frame(ctx, verdict, iface, length);
}

/* The length of a frame; one beyond a page's half may go on in other buffers. */
INLINE __u32 xdp_length(struct xdp_md *ctx, void *data, void *end)
{
	if (multi_buffer && unlikely(end - data > 2047))
		return bpf_xdp_get_buff_len(ctx);
	return end - data;
}

/*
 * Turns the frame into the answer of the director itself. A function of its own, so that
 * the table's functions below careful_xdp have room: all frames of a chain of calls
 * together may take 512 bytes, each rounded up to 32 on older kernels.
 */
static __attribute__((noinline)) int respond_xdp(struct xdp_md *ctx, struct packet *p, __u32 answer,
						 __u32 length)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct quoted q = {};

	if (quote(&q, data, end, answer))
		return 1;
	if (bpf_xdp_adjust_tail(ctx, (int)answer - (int)length))
		return 1;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	return write_answer(data, end, p, &q, answer);
}

/* A packet that is not common: parsed with care, and looked up. */
static __attribute__((noinline)) int careful_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet p = {.iface = ctx->ingress_ifindex};
	struct outcome o = {.verdict = VERDICT_PASS};
	__u32 length, answer;
	enum verdict verdict;

	if (direct(&o, &p, data, end))
		ask_table(&o, &p);
	data = (void *)(long)ctx->data; /* read once more, rather than kept on the stack */
	end = (void *)(long)ctx->data_end;
	length = multi_buffer ? bpf_xdp_get_buff_len(ctx) : end - data;
	verdict = finish(&o, &p, data, end, length);
	answer = answer_length(verdict, &p);
	if (answer) {
		if (respond_xdp(ctx, &p, answer, length))
			return XDP_DROP;
		length = answer;
	} else if (p.remote && verdict < VERDICT_DENY) {
		if (wrap_xdp(ctx, p.remote - 1))
			return XDP_DROP;
		length += OUTER_LENGTH;
	}
	copy_out(ctx, verdict, ctx->ingress_ifindex, length);
	if (verdict <= VERDICT_PERMIT)
		return XDP_PASS;
	return verdict >= VERDICT_DENY ? XDP_DROP : XDP_TX;
}

SEC("xdp.frags")
int fairlead_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 length, flow, server;
	struct next_hop *macs;
	__u64 tags;

	macs = dry_run ? 0 : common(data, end, ctx, 1, &flow, &server);
	if (unlikely(!macs) && !dry_run && is_six(data, end))
		macs = common_six(data, end, ctx, 1, &flow, &server);
	if (unlikely(!macs)) {
		if (likely(!is_tagged(data, end)))
			return careful_xdp(ctx);
		tags = untag_xdp(ctx);
		/* with its tags on it is nobody's: counted, and passed */
		return tags ? retag_xdp(ctx, tags, careful_xdp(ctx)) : careful_xdp(ctx);
	}
	set_macs(data, macs->mac0, macs->mac1);
	length = xdp_length(ctx, data, end);
	count(flow, server_column(server), length);
	copy_out(ctx, VERDICT_FORWARD, ctx->ingress_ifindex, length);
	return XDP_TX;
}

static __attribute__((noinline)) int respond_tc(struct __sk_buff *skb, struct packet *p,
						__u32 answer)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct quoted q = {};

	if (quote(&q, data, end, answer))
		return 1;
	if (bpf_skb_change_tail(skb, answer, 0))
		return 1;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	return write_answer(data, end, p, &q, answer);
}

static __attribute__((noinline)) int careful_tc(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct packet p = {.iface = skb->ifindex, .segment = skb->gso_size};
	struct outcome o = {.verdict = VERDICT_PASS};
	enum verdict verdict;
	__u32 answer;

	if (direct(&o, &p, data, end))
		ask_table(&o, &p);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	verdict = finish(&o, &p, data, end, skb->len);
	answer = answer_length(verdict, &p);
	if (answer) {
		if (respond_tc(skb, &p, answer))
			return TC_DROP;
	} else if (p.remote && verdict < VERDICT_DENY && wrap_tc(skb, p.remote - 1)) {
		return TC_DROP;
	}
	copy_out(skb, verdict, skb->ifindex, skb->len);
	if (verdict <= VERDICT_PERMIT)
		return TC_NEXT;
	return verdict >= VERDICT_DENY ? TC_DROP : bpf_redirect(skb->ifindex, 0);
}

/* A function of its own, since its frame would not go with those of the careful way. */
static __attribute__((noinline)) struct next_hop *
common_six_tc(void *data, void *end, struct __sk_buff *skb, __u32 *flow, __u32 *server)
{
	return common_six(data, end, skb, 0, flow, server);
}

SEC("tcx/ingress")
int fairlead_tc(struct __sk_buff *skb)
{
	__u32 flow, server, iface = skb->ifindex;
	__u64 tags;

	/* headers may lie in a fragment of a large frame */
	if (skb->data_end - skb->data < RESET6_LENGTH && skb->len >= RESET6_LENGTH)
		bpf_skb_pull_data(skb, RESET6_LENGTH);
	else if (skb->data_end - skb->data < RESET_LENGTH && skb->len >= RESET_LENGTH)
		bpf_skb_pull_data(skb, RESET_LENGTH);

	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct next_hop *macs = dry_run ? 0 : common(data, end, skb, 0, &flow, &server);

	if (unlikely(!macs) && !dry_run && is_six(data, end))
		macs = common_six_tc(data, end, skb, &flow, &server);
	if (unlikely(!macs)) {
		if (likely(!is_tagged(data, end)))
			return careful_tc(skb);
		tags = untag_tc(skb);
		return tags ? retag_tc(skb, tags, careful_tc(skb)) : careful_tc(skb);
	}
	set_macs(data, macs->mac0, macs->mac1);
	count(flow, server_column(server), skb->len);
	copy_out(skb, VERDICT_FORWARD, iface, skb->len);
	return bpf_redirect(iface, 0);
}

/* Tells user space the connection table's time. */
SEC("xdp")
int fairlead_tick(struct xdp_md *ctx)
{
	return bpf_jiffies64() >> tick_shift & 0xff;
}

/* For the far end of a veth, which must have a programme for XDP_TX to arrive. */
SEC("xdp")
int fairlead_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/*
 * For a server of the lab, where the kernel may lack IP in IP: unwraps what came in a
 * tunnel.
 */
SEC("tcx/ingress")
int fairlead_unwrap(struct __sk_buff *skb)
{
	void *data, *end;
	struct ipv4 *ip;

	if (bpf_skb_pull_data(skb, ETH_HLEN + sizeof(*ip)))
		return TC_NEXT;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	ip = data + ETH_HLEN;
	if ((void *)(ip + 1) > end || ((struct ethernet *)data)->type != ETHERTYPE_IPV4 ||
	    ip->version_ihl != 0x45 || ip->protocol != PROTOCOL_IPIP)
		return TC_NEXT;
	return bpf_skb_adjust_room(skb, -(int)OUTER_LENGTH, BPF_ADJ_ROOM_MAC, 0) ? TC_DROP :
										   TC_NEXT;
}

/* The kernel's helpers need a GPL-compatible programme. */
char _license[] SEC("license") = "Dual BSD/GPL";
