/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Everything that the programme shares with user space, and the only place
 * where a shared structure is written: the Go types are generated from here.
 * A change of a layout needs a new LAYOUT in internal/dataplane.
 *
 * Who writes what: the settings are written by user space only, always
 * the copy that no packet reads, which then becomes the current one by a single
 * store. The connection table is written by the programme.
 */
#ifndef FAIRLEAD_MAPS_H
#define FAIRLEAD_MAPS_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "verdict.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define INLINE static __always_inline
/* A global function: the verifier proves it once, not once for each call. */
#define GLOBAL __attribute__((noinline))

#define VIP_SLOT_BITS 15
#define VIP_SLOTS (1 << VIP_SLOT_BITS)
#define VIP6_SLOT_BITS 14
#define VIP6_SLOTS (1 << VIP6_SLOT_BITS)
#define SERVICE_SLOT_BITS 15
#define SERVICE_SLOTS (1 << SERVICE_SLOT_BITS)
#define RULES 16384
/* as many as fit: before Linux 6.8 struct state may have 4 MiB */
#define DIRECTORS 128
#define SERVERS_PER_DIRECTOR 16
#define FLOWS 10240
/*
 * Turns and places of a balanced director's servers: a prime number, which places
 * need, above the sum of any weights without a common divisor.
 */
#define SHARES 4099
#define LOCALITIES 16384 /* destinations that localitybased remembers */
#define TEMPLATES 65536	 /* networks of clients that persistence remembers */

/* ---- settings: all that user space decides, written and swapped as a whole ---- */

/*
 * How the flow manager finds the few rules that can matter to a packet, see
 * internal/flow. A destination, and a service of one, has two slots
 * that are given by one multiplication: user space puts it into the first one
 * where it can. An empty slot holds a key that belongs elsewhere.
 */
enum vip_flags {
	VIP_OWN = 1,	   /* the director's own: passes */
	VIP_CLAIMED = 2,   /* a rule gives it to a director */
	VIP_ANNOUNCE = 4,  /* ARP or neighbour discovery for it is answered */
	VIP_SERVICES = 8,  /* it has services: they come first */
	VIP_DIRECT = 16,   /* what has no service goes to the director, without a list */
	VIP_ON_IFACE = 32, /* but only from the interface of the flow */
};

/* a single destination that rules name */
struct vip {
	__be32 addr;
	__u16 flow;
	__u8 director;
	__u8 flags;
};

/* the same of IPv6: addr is the last word of the address */
struct vip6 {
	__be32 upper[3];
	struct vip vip;
};

/* a TCP or UDP port of a destination */
struct service {
	__be32 addr; /* of IPv6 the destination's slot, and the protocol has SERVICE_OF_SIX */
	__be16 port;
	__u8 protocol;
	__u8 director;
	__u16 flow;
	__u16 first, number; /* its list */
	__u8 flags;	     /* VIP_DIRECT, VIP_ON_IFACE */
	__u8 pad;
};

#define SERVICE_OF_SIX 0x80

/* a list: a run of the rules */
struct extent {
	__u16 first, number;
};

struct flow_set {
	__u64 vip_multiplier, vip6_multiplier, service_multiplier;
	struct extent general; /* rules for any destination */
	__u32 pad;
	struct vip vips[VIP_SLOTS];
	struct service services[SERVICE_SLOTS];
	__u32 ifaces[FLOWS]; /* index of a flow's interface, of VIP_ON_IFACE */
};

enum condition {
	ON_IFACE = 1,
	ON_PROTOCOL = 2,
	ON_SOURCE = 4,
	ON_SOURCE_PORT = 8,
	ON_PORT = 16,
	ON_ICMP_TYPE = 32,
	ON_DESTINATION = 64,
};

/* what a flow does with its packets */
enum policy {
	POLICY_PERMIT = 1,
	POLICY_DENY = 2,
	POLICY_DIRECTOR = 3,
};

struct rule {
	/* networks; of IPv4 as in union address */
	__u64 source[2], source_mask[2], destination[2], destination_mask[2];
	__u32 order;				   /* of two that hold the lower one counts */
	__u32 iface;				   /* index */
	__u16 source_port_first, source_port_last; /* host order, inclusive */
	__u16 port_first, port_last;
	__u16 flow;
	__u16 next;		      /* places to the next flow's rules */
	__u16 ignores_first, ignores; /* those that exempt from it */
	__u8 protocol;
	__u8 icmp_type;
	__u8 conditions; /* those that the rule has */
	__u8 negated;	 /* those of them that must not hold */
	__u8 ignore;	 /* it is one that exempts */
	__u8 service;	 /* in a destination's list: only for what hides its ports */
	__u8 policy;
	__u8 director;
	__u8 source_six, destination_six; /* the networks are of IPv6: ::/0 holds no IPv4 */
	__u8 pad[4];
};

/* the lists, and what packets of IPv4 do not need; one copy for each of the settings */
struct rule_lists {
	struct vip6 vips6[VIP6_SLOTS];
	struct extent of_vip[VIP_SLOTS + VIP6_SLOTS]; /* those of IPv6 come behind */
	struct rule rules[RULES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct rule_lists);
	__uint(max_entries, 2);
} lists SEC(".maps");

enum choice_flags {
	CHOICE_FORWARD = 1,   /* there is an active server */
	CHOICE_LOOKUP = 2,    /* old connections may be left: look every one up */
	CHOICE_SILENT = 4,    /* meet them with silence instead of RST */
	CHOICE_HOLD = 8,      /* a switch is under way: keep SYNs, drop the rest */
	CHOICE_WATCH = 16,    /* tell suspicions */
	CHOICE_BALANCED = 32, /* several servers: see struct shares */
	CHOICE_KEEP = 64,     /* keep SYNs that look like the end of a server */
	CHOICE_REJECT = 128,  /* no server is up: refuse clients */
	CHOICE_REMOTE = 256,  /* more than the MACs change: see struct remote */
	/* every packet is for the table, or for nobody */
	CHOICE_CAREFUL = CHOICE_LOOKUP | CHOICE_HOLD | CHOICE_BALANCED | CHOICE_REJECT,
};

/* a director's choice of server; 32 bytes, since a shift finds them faster than a product */
struct choice {
	__u64 mac0;	  /* frame bytes 0-7: the server's MAC, then the director's */
	__u32 mac1;	  /* frame bytes 8-11: the rest of the director's */
	__u16 generation; /* the low bits of the epoch */
	__u16 flags;
	__u8 server; /* its index in the director */
	__u8 pad[15];
};

/* what user space wants to find again after a restart */
struct choice_record {
	__u64 epoch;
	__s64 since_ns; /* Unix time of the last switch */
	__u8 reason;
	__u8 pad[7];
	__be32 server[4]; /* its address, as in union address: the name may get another one */
};

/* mac0 0: not known */
struct server {
	__u64 mac0;
	__u32 mac1;
	__u16 generation; /* of a balanced director: of its connections */
	__u16 weight;	  /* of a balanced director */
	__u64 epoch;	  /* the whole of it, for user space */
};

enum mode { MODE_GATEWAY, MODE_TUNNEL };

/* how a server is reached whose packets change in more than their MACs */
struct remote {
	__be32 server, source; /* the outer addresses of a tunnel */
	__u16 mtu;	       /* of the way there, for a packet with all its headers */
	__u8 mode;
	__u8 pad;
};

enum scheduler {
	SCHEDULE_TURNS,	      /* roundrobin */
	SCHEDULE_LEAST,	      /* leastconn */
	SCHEDULE_LOCALITY,    /* leastconn localitybased */
	SCHEDULE_REPLICATION, /* leastconn localitybased replication */
	SCHEDULE_SOURCE,
	SCHEDULE_SRCDST,
	SCHEDULE_DEST,
	SCHEDULE_SHORTEST, /* shortestexpected */
	SCHEDULE_NEVERQUEUE,
	SCHEDULE_MAGLEV,
};

/* how a balanced director shares new connections; see internal/schedule */
struct shares {
	__u16 length; /* of turns */
	__u8 scheduler;
	__u8 count;			    /* 0: no new connections */
	__u8 members[SERVERS_PER_DIRECTOR]; /* who gets them, in the configuration's order */
	__u32 template_s;   /* persistence: how long templates last; 0: there are none */
	__be32 client_mask; /* of the IPv4 networks that share a template */
	__u16 keeping;	    /* bit i: the templates of server i hold */
	__u8 turns[SHARES];
	__u8 places[SHARES];
};

struct settings {
	struct choice choices[DIRECTORS];
	struct flow_set flows;
	struct server servers[DIRECTORS * SERVERS_PER_DIRECTOR];
	struct remote remotes[DIRECTORS * SERVERS_PER_DIRECTOR];
	struct shares shares[DIRECTORS];
	struct choice_record records[DIRECTORS];
};

/* ---- connections ---- */

#define SLOTS 7

/*
 * 64 bytes, one cache line. A slot is
 *   tag 63:45 | six 44 | packets 43:40 | generation 39:24 | director 23:16 | server 15:12 |
 * state 11:8 | seen 7:0 and byte k of tags is another byte of the hash of slot k's connection.
 */
struct bucket {
	__u64 slots[SLOTS];
	__u64 tags;
};

/* the bits of a slot's state */
enum slot_state {
	SLOT_USED = 1,
	SLOT_ACKED = 2, /* a packet with an ACK was seen: last_ack is valid */
	SLOT_ENDED = 4, /* its FIN or RST was seen */
	SLOT_IDLE = 8,	/* silent for its timeout: not counted; set by user space */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bucket);
	__uint(max_entries, 1); /* set at load */
} buckets SEC(".maps");

/* the exact connection of a slot, read only off the fast path */
struct tuple {
	__be32 source, destination; /* of IPv6 the last words */
	__be16 source_port, destination_port;
	__u32 last_ack; /* host order: what the client expects next */
	__u32 next;	/* host order: what its server expects next */
	__u32 begun_s;	/* when it was seen first, of CLOCK_MONOTONIC */
};

struct tuples {
	struct tuple slots[SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tuples);
	__uint(max_entries, 1); /* set at load */
} tuples SEC(".maps");

/*
 * The rest of the addresses of a connection of IPv6. An array of its own: those of IPv4
 * never touch it, and their tuples stay as close together as they can be.
 */
struct upper {
	__be32 source[3], destination[3];
};

struct uppers {
	struct upper slots[SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct uppers);
	__uint(max_entries, 1); /* set at load */
} uppers SEC(".maps");

struct table {
	__u64 seed;    /* of the hash; lives as long as the connections */
	__u64 refused; /* connections that found no room */
	__u32 buckets; /* how many there are */
	__u32 pad;
};

/* ---- suspicion: what the daemon is told of the clients' half ---- */

/* A client that has or had a connection to a service: a hash of both, seeded. */
struct client {
	__u64 hash;
};

#define CLIENTS 4096

/* Instants are of CLOCK_MONOTONIC. */
struct watch {
	__u64 alive_ns;			/* the daemon was alive; written by it */
	__u64 lost;			/* sightings that found no room */
	__u64 trusted_ns[DIRECTORS];	/* until then no SYN is kept; written by the daemon */
	__u64 told_ns[DIRECTORS];	/* a repetition was told last */
	struct client clients[CLIENTS]; /* by hash; the newer one stays */
};

/* ---- the schedulers' memory ---- */

struct load {
	__u32 turn[DIRECTORS]; /* of roundrobin */
	/*
	 * Connections of a balanced director's servers, of the present generation and
	 * not seen to end. The programme counts, user space corrects what races lose.
	 */
	__s32 conns[DIRECTORS * SERVERS_PER_DIRECTOR];
};

/* a destination of a director that is localitybased */
struct locality_key {
	__be32 address[4]; /* as in union address */
	__u32 director;
};

struct locality {
	__u16 set; /* bit i: server i serves it */
	__u16 pad;
	__u32 changed_s; /* when set changed last, of CLOCK_MONOTONIC */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct locality_key);
	__type(value, struct locality);
	__uint(max_entries, LOCALITIES);
} localities SEC(".maps");

/* persistence: a network of clients stays with its server, whatever the protocol and port */
struct template_key {
	__be32 client[4]; /* as in union address */
	__u32 director;
};

struct template
{
	__u32 used_s; /* when a connection last began or ended by it, of CLOCK_MONOTONIC */
	__u8 server;
	__u8 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct template_key);
	__type(value, struct template);
	__uint(max_entries, TEMPLATES);
} templates SEC(".maps");

enum sighting_kind {
	SIGHTING_REPEATED_SYN,
	SIGHTING_REPEATED_DATA,
	SIGHTING_RECONNECT, /* kept: it looks as if the client's connection just broke */
	SIGHTING_HELD,	    /* kept: its director is on hold */
};

#define FRAME 192 /* bytes of a SYN that can be kept */

struct sighting {
	__u8 kind, director, server, pad;
	__u32 iface;
	__be32 source[4], destination[4]; /* as in union address */
	__be16 source_port, destination_port;
	__u32 length; /* of the frame; 0: it was not kept */
	__u64 frame[FRAME / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* bytes: 4,500 kept SYNs */
} sightings SEC(".maps");

/*
 * All that user space writes at run time, and reads back from a pin after a
 * restart: one variable, so that it is one map (.bss), which both sides reach
 * without a helper call.
 */
struct state {
	__u32 current; /* which of the settings, 0 or 1 */
	__u32 due;     /* packets that are to be looked at, whatever the time */
	__u64 sampled; /* jiffy in which a packet was last looked at */
	__u64 pad1[6];
	struct settings settings[2];
	struct table table;
	struct watch watch;
	struct load load;
};

struct state shared __attribute__((aligned(64)));

/* ---- counters ---- */

struct counter {
	__u64 packets, bytes;
};

/* a flow's row: its verdicts, then forwarded packets by server */
#define COLUMNS (16 + SERVERS_PER_DIRECTOR)
#define COLUMN_SERVERS 16

struct row {
	struct counter columns[COLUMNS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct row);
	__uint(max_entries, FLOWS);
} counters SEC(".maps");

/* ---- capture ---- */

struct captured {
	__u32 iface;
	__u32 length; /* of the frame; the data may be shorter */
	__u32 verdict;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} captures SEC(".maps");

/* names of the indices above, kept for the next daemon; not read here */
struct name_key {
	__u8 kind;
	__u8 director;
	__u16 index;
};

struct name {
	__u8 text[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct name_key);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(value, struct name);
	__uint(max_entries, FLOWS + DIRECTORS * (1 + SERVERS_PER_DIRECTOR));
} names SEC(".maps");

/* Options: constants at load, so that the verifier prunes what is off. */
const volatile __u8 capture = 0;      /* hand every frame of ours to user space */
const volatile __u8 tick_shift = 12;  /* a tick of the connection table is 1 << this jiffies */
const volatile __u8 multi_buffer = 0; /* XDP frames may have fragments (jumbo) */

/*
 * A programme that only explains: it goes the careful way, writes nothing that
 * another one reads, and leaves in explanation what it decided of the packet.
 */
const volatile __u8 dry_run = 0;

/* who chose the server */
enum chooser {
	CHOSEN_BY_NOBODY,
	CHOSEN_BY_DIRECTOR,   /* active/passive: its active server */
	CHOSEN_BY_CONNECTION, /* the connection table */
	CHOSEN_BY_TEMPLATE,   /* persistence */
	CHOSEN_BY_SCHEDULER,  /* for a new connection */
	CHOSEN_BY_HASH,	      /* the table does not know it, or it is not TCP */
};

struct explained {
	__u64 slot; /* of its connection; 0: it is not known */
	__u32 verdict, sighting;
	__u32 server; /* its index in the director, of FORWARD_OLD in servers */
	__u16 flow;
	__u8 director;
	__u8 chooser;
	__u8 old; /* its connection is of an older generation */
};

struct explained explanation SEC(".data.explained");

/* Types that no map names, but Go needs. */
struct exported {
	struct captured captured;
	enum verdict verdict;
	enum condition condition;
	enum vip_flags vip;
	enum policy policy;
	enum mode mode;
	enum choice_flags flags;
	enum scheduler scheduler;
	enum chooser chooser;
	enum slot_state state;
	enum sighting_kind sighting;
	struct sighting seen;
};
const struct exported *const volatile exported = 0;

#endif
