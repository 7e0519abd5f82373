// state says in words what the picture holds: the role of a server, what is desired,
// applied and observed of it. It draws nothing.

import { age, instant, span } from './format.js';

// serversOf are the servers of a director in the configuration's order, with their names.
export function serversOf(director) {
  return Object.entries(director.servers ?? {})
    .map(([name, server]) => ({ name, ...server }))
    .sort((a, b) => (a.order ?? 0) - (b.order ?? 0));
}

// directorsOf are the names of all directors, in order.
export function directorsOf(value) {
  const all = value?.directors ?? {};
  return Object.keys(all).sort((a, b) => (all[a].order ?? 0) - (all[b].order ?? 0));
}

// marked is whether an operator took a server out of use.
export const marked = (server) => Boolean(server.mark) && server.mark !== 'none';

// desired is what a server should be.
export function desired(director, server) {
  if (marked(server)) return server.mark;
  if (director.balanced) return server.sorry ? 'standby' : server.weight > 0 ? 'active' : 'quiescent';
  if (director.desired === server.name) return 'active';
  if (server.weight === 0 && !server.sorry) return 'quiescent';
  return 'standby';
}

// applied is what the data plane makes of it; with blind nobody knows.
export function applied(director, server, blind) {
  if (blind) return 'unknown';
  if (server.active || (!director.balanced && director.applied === server.name)) return under(director) ? 'on hold' : 'active';
  return 'standby';
}

// role is the one word for the diagram: what the data plane does wins.
export function role(director, server, blind) {
  const does = applied(director, server, blind);
  if (blind) return does;
  if (under(director) && director.to === server.name) return 'next';
  if (does !== 'standby') return does;
  const wanted = desired(director, server);
  return wanted === 'active' ? 'not applied' : server.sorry && wanted === 'standby' ? 'sorry, standby' : wanted;
}

// healthOf is the word of a server's health; what nobody told is unknown.
export const healthOf = (server) => server.health || 'unknown';

const copies = { unknown: 'not known', measured: 'measured', fresh: 'fresh', 'too-old': 'too old' };

// copyTone is how the copy of a standby server is marked; '' is not at all.
export const copyTone = (server) => ({ 'too-old': 'bad', unknown: 'warn', fresh: 'ok' })[server.copy?.freshness] ?? '';

// copyShort says in a word how old a standby server's copy is; '' without one.
export const copyShort = ({ copy }) => (copy ? `copy ${copies[copy.freshness]}` : '');

// copyText says all that is known of it, at a time.
export function copyText(server, at) {
  const { copy } = server;
  if (!copy) return '';
  const measured = instant(copy.measured);
  const known = measured ? `${span(copy.lag_ns)} behind when it was measured ${age((Date.parse(at) - measured) / 1000)} ago` : 'never measured';
  return `${copies[copy.freshness]}, ${known}${copy.why ? `: ${copy.why}` : ''}`;
}

// address is a server's address with its port.
export function address(server) {
  if (!server.port) return server.addr;
  return server.addr?.includes(':') ? `[${server.addr}]:${server.port}` : `${server.addr}:${server.port}`;
}

// under is whether a switch is under way.
export const under = (director) => Boolean(director.step) && director.step !== 'none';

const steps = {
  fence: (d) => `on hold: the fence hook keeps ${d.applied || 'the old server'} from writing`,
  promote: (d) => `on hold: the promote hook makes ${d.to} ready`,
  verify: (d) => `on hold: the check of ${d.to} is awaited`,
  order: () => 'on hold: nobody knows which server holds the truth; an operator must say',
};

// stepText says where a switch under way stands.
export const stepText = (director) => (steps[director.step] ?? (() => `on hold: ${director.step}`))(director);

const reasons = {
  none: 'nothing was chosen yet', 'first-choice': 'the first choice', adopted: 'found in the kernel at the start',
  'server-failed': 'the check of the server before failed', failback: 'a preferred server returned', operator: 'an operator ordered it',
  'server-removed': 'the configuration no longer has the server before', 'server-quiescent': 'the configuration gave the server before weight 0',
  'waiting-for-checks': 'results of checks are awaited', 'no-server': 'no server can be chosen', configuration: 'the configuration prefers it',
};

// reasonText is a reason in words.
export const reasonText = (reason) => reasons[reason] ?? reason;

// standing is how a director stands, in a word: {word, tone, of}. of is the server that
// the word is about, when it is about one.
export function standing(director, blind) {
  if (blind) return { word: 'unknown', tone: 'unknown' };
  if (under(director)) return { word: 'on hold', tone: 'warn' };
  if (director.balanced) {
    const some = Object.values(director.servers ?? {});
    const active = some.filter((s) => s.active);
    if (active.length === 0) return { word: 'no server', tone: 'bad' };
    const down = some.filter((s) => s.health === 'down').length;
    if (down) return { word: `${down} down`, tone: 'warn' };
    return active.every((s) => s.health === 'up') ? { word: 'up', tone: 'ok' } : { word: 'unknown', tone: 'unknown' };
  }
  if (!director.applied) return { word: 'no server', tone: 'bad' };
  if (director.applied !== director.desired) return { word: 'not applied', tone: 'warn' };
  const active = director.servers?.[director.applied];
  const health = active?.health ?? 'unknown';
  if (health === 'up') {
    const reserve = Object.entries(director.servers).some(([name, s]) => name !== director.applied && s.health !== 'down' && !marked(s));
    return reserve ? { word: 'up', tone: 'ok', of: director.applied } : { word: 'up, no reserve', tone: 'warn', of: director.applied };
  }
  return { word: health, tone: health === 'down' ? 'bad' : 'unknown', of: director.applied };
}
