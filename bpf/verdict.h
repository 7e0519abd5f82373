/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What became of a packet. Every packet gets exactly one verdict, and is
 * counted once under it; metrics, command line and pages use these names.
 */
#ifndef FAIRLEAD_VERDICT_H
#define FAIRLEAD_VERDICT_H

enum verdict {
	VERDICT_PASS,		/* not ours: up the stack, untouched */
	VERDICT_PERMIT,		/* a flow permits it: up the stack, untouched */
	VERDICT_FORWARD,	/* to the active server */
	VERDICT_FORWARD_OLD,	/* a RST of an old connection, to its own server */
	VERDICT_RESET,		/* an old connection: answered with RST */
	VERDICT_ARP_REPLY,	/* who-has of a virtual IP: answered */
	VERDICT_REJECT,		/* the director has no server, and says so: RST or ICMP */
	VERDICT_TOO_BIG,	/* it does not fit into the tunnel: the client is told */
	VERDICT_DENY,		/* a flow denies it: dropped */
	VERDICT_DROP_NO_SERVER, /* ours, but the director has no active server */
	VERDICT_DROP_OLD,	/* an old connection that meets silence */
	VERDICT_DROP_MALFORMED, /* ours, but its headers make no sense */
	VERDICT_HELD,		/* a SYN that is kept until its server was asked, or chosen */
	VERDICT_DROP_HOLD,	/* its director is on hold */
	VERDICT_DROP_TOO_BIG,	/* it does not fit into the tunnel, and nobody may be told */
	VERDICTS,
};

#endif
