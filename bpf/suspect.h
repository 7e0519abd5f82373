/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the clients' half of the traffic says of the server: a SYN that comes
 * again was not answered; data that comes again with nothing new acknowledged
 * was not either; a client that had a connection and begins another one has
 * perhaps just lost it, for example because the server's process died.
 *
 * Such a SYN is kept until the daemon has asked the server: a refused one would
 * send an NFS client into a back-off of seconds. None is kept while the daemon
 * is not alive, nor while it trusts the server.
 */
#ifndef FAIRLEAD_SUSPECT_H
#define FAIRLEAD_SUSPECT_H

#include "visit.h"

#define MILLISECOND 1000000ULL
#define ALIVE (1000 * MILLISECOND) /* a daemon that said so within this time is */
#define TELL_EVERY (20 * MILLISECOND)

INLINE struct client *client_of(__u64 hash)
{
	return &shared.watch.clients[hash >> 52 & (CLIENTS - 1)];
}

INLINE int is_known_client(struct packet *p)
{
	__u64 hash = hash_from(p, 0);

	return client_of(hash)->hash == hash;
}

INLINE void note_client(struct packet *p)
{
	__u64 hash = hash_from(p, 0);

	client_of(hash)->hash = hash;
}

/* May the SYN be kept? A balanced director's is not: it would only go elsewhere. */
INLINE int may_keep(struct packet *p)
{
	__u64 now = bpf_ktime_get_coarse_ns();

	return (p->choice_flags & (CHOICE_KEEP | CHOICE_BALANCED)) == CHOICE_KEEP &&
	       now < shared.watch.alive_ns + ALIVE &&
	       now > shared.watch.trusted_ns[p->director & (DIRECTORS - 1)];
}

/* A repetition, as an addition to the answer: told now and then only. */
INLINE __u32 tell(struct packet *p, enum sighting_kind kind)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	__u64 *told = &shared.watch.told_ns[p->director & (DIRECTORS - 1)];

	if (!(p->choice_flags & CHOICE_WATCH) || now - *told < TELL_EVERY)
		return 0;
	if (!dry_run)
		*told = now;
	return ANSWER_SIGHTING(kind);
}

/* Was all of this data there before, and nothing new acknowledged since? */
INLINE int is_repeated(struct packet *p, struct tuple *t)
{
	__u32 behind = t->next - (p->seq + p->payload);

	return p->payload && p->ack == t->last_ack && behind < 1 << 20;
}

/*
 * Hands a sighting to the daemon; of a SYN that is kept with its frame. False
 * when the way to it is full, or the frame too long to be kept.
 */
INLINE int hand_over(__u32 kind, struct packet *p, __u32 director, __u32 server, void *data,
		     void *end)
{
	__u64 length = kind >= SIGHTING_RECONNECT ? end - data : 0;
	struct sighting *s;

	if (length > FRAME)
		return 0;
	if (dry_run)
		return 1;
	s = bpf_ringbuf_reserve(&sightings, sizeof(*s), 0);
	if (!s) {
		__sync_fetch_and_add(&shared.watch.lost, 1);
		return 0;
	}
	s->kind = kind;
	s->director = director;
	s->server = server;
	s->pad = 0;
	s->iface = p->iface;
	__builtin_memcpy(s->source, &p->source, sizeof(s->source));
	__builtin_memcpy(s->destination, &p->destination, sizeof(s->destination));
	s->source_port = p->source_port;
	s->destination_port = p->destination_port;
	s->length = length;
	/* one call instead of a loop that the verifier would walk byte by byte */
	if (bpf_probe_read_kernel(s->frame, length, data)) {
		bpf_ringbuf_discard(s, 0);
		return 0;
	}
	bpf_ringbuf_submit(s, 0);
	return 1;
}

#endif
