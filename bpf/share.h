/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Which server of a balanced director gets a new connection. User space writes
 * the turns; whoever has more weight has more of them, well spread.
 */
#ifndef FAIRLEAD_SHARE_H
#define FAIRLEAD_SHARE_H

#include "visit.h"

#define NO_SERVER (~0U)

INLINE struct shares *shares_of(__u32 settings, __u32 director)
{
	return &shared.settings[settings & 1].shares[director & (DIRECTORS - 1)];
}

INLINE __u32 turn_at(struct shares *s, __u32 turn)
{
	return turn < SHARES ? s->turns[turn] & (SERVERS_PER_DIRECTOR - 1) : NO_SERVER;
}

/* The next one in turn: of a connection that begins. */
INLINE __u32 next_share(__u32 settings, __u32 director)
{
	struct shares *s = shares_of(settings, director);
	__u32 turn = __sync_fetch_and_add(&shared.watch.turn[director & (DIRECTORS - 1)], 1);

	return s->length ? turn_at(s, turn % s->length) : NO_SERVER;
}

/* Always the same one for the same hash: where no table tells. */
INLINE __u32 hashed_share(__u32 settings, __u32 director, __u32 hash)
{
	struct shares *s = shares_of(settings, director);

	return turn_at(s, s->length ? (__u64)hash * s->length >> 32 : SHARES);
}

#endif
