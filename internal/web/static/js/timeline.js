// timeline shows a switch step by step: when each step was seen, and how long it
// took. A step that nobody measured is not in it.

import { h } from './dom.js';
import { count, instant, millis, moment, plural } from './format.js';

// stepsOf are the measured instants of a switch, in order: [{name, ns, hint}], ns
// since the first of them. confirmed is a time as the journal tells it, or null.
export function stepsOf(sw, confirmed = null) {
  const base = Math.floor(Date.parse(sw.at) / 1000);
  const parse = (text) => nanoseconds(text, base);
  const at = parse(sw.at);
  const mono = (ns) => (ns && sw.decided_monotonic_ns ? at + (ns - sw.decided_monotonic_ns) : null);
  const all = [
    { name: 'suspected', ns: parse(sw.suspected), hint: 'the clients’ packets hinted that the server is gone' },
    { name: 'first failed check', ns: parse(sw.first_attempt), hint: 'the first probe that failed' },
    { name: 'confirmed', ns: parse(confirmed), hint: 'the failure was asked for again, and confirmed' },
    { name: 'held', ns: parse(sw.held), hint: 'from here on SYNs were kept and everything else dropped' },
    { name: 'fenced', ns: parse(sw.fenced), hint: 'the fence hook ended: the old server cannot write' },
    { name: 'promoted', ns: parse(sw.promoted), hint: 'the promote hook ended: the new server is ready' },
    { name: 'verified', ns: parse(sw.verified), hint: 'the new server passed its check' },
    { name: 'flipped', ns: at, hint: 'the new server was decided on and remembered' },
    { name: 'applied', ns: mono(sw.applied_monotonic_ns), hint: 'the data plane forwards to the new server' },
    { name: 'reset', ns: sw.connections_reset ? mono(sw.reset_monotonic_ns) : null, hint: 'the first round of resets was sent to the old connections' },
    { name: 'first client back', ns: parse(sw.first_back), hint: 'the first client’s connection to the new server was seen' },
  ].filter((step) => step.ns !== null && step.ns !== undefined);
  all.sort((a, b) => a.ns - b.ns);
  const first = all[0].ns;
  return all.map((step) => ({ ...step, ns: step.ns - first }));
}

// nanoseconds reads a time as ns since a second of 1970: ns since 1970 themselves
// are beyond what a number holds exactly. null for none.
function nanoseconds(text, base) {
  const date = instant(text);
  if (!date) return null;
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? '';
  return (Math.floor(date.getTime() / 1000) - base) * 1e9 + Number(fraction.padEnd(9, '0').slice(0, 9));
}

// renderTimeline gives the steps as a table with bars to scale.
export function renderTimeline(sw, confirmed) {
  const steps = stepsOf(sw, confirmed);
  const end = steps.at(-1).ns || 1;
  const rows = steps.map((step, i) => {
    const before = i ? steps[i - 1].ns : 0;
    const left = (before / end) * 100;
    const width = Math.max(((step.ns - before) / end) * 100, 0.6);
    return h('tr', { title: step.hint },
      h('th', { scope: 'row' }, step.name),
      h('td', { class: 'num' }, millis(step.ns)),
      h('td', { class: 'num muted' }, i ? '+' + millis(step.ns - before) : ''),
      h('td', { class: 'bar-cell' }, h('span', { class: 'span-bar', style: { 'margin-left': `${Math.min(left, 99.4)}%`, width: `${width}%` } })));
  });
  return h('table', { class: 'timeline' },
    h('caption', { class: 'hide' }, 'The steps of the last switch, in milliseconds since the first sign'),
    h('thead', {}, h('tr', {}, ['step', 'since the first sign', 'took', ''].map((t, i) => h('th', { scope: 'col', class: i === 1 || i === 2 ? 'num' : null }, t || h('span', { class: 'hide' }, 'to scale'))))),
    h('tbody', {}, rows));
}

// renderCounts says what became of the connections.
export function renderCounts(sw) {
  if (!sw.decided_monotonic_ns) return h('p', { class: 'muted' }, 'An earlier daemon made it. What it saw is in ', h('a', { href: '/events' }, 'Events'), '.');
  if (!sw.from) return h('p', { class: 'muted' }, 'No server was active before, so there was no connection to reset.');
  const said = [
    [plural(sw.connections_known, 'connection'), 'known of the old server'],
    [count(sw.connections_reset), 'reset at once'],
    [count(sw.connections_ended), 'seen to have ended'],
    [count(sw.server_side_resets), 'resets to the old server'],
    [count(sw.syns_replayed), 'held SYNs sent on'],
  ];
  return h('dl', { class: 'facts' }, said.map(([n, what]) => h('div', {}, h('dt', {}, what), h('dd', {}, n))));
}

// headline is the switch in a sentence.
export function headline(sw) {
  const date = instant(sw.at);
  // Which server was active before one that was found in the kernel, nobody knows.
  const from = sw.from || (sw.decided_monotonic_ns ? 'no server' : '');
  return `${from}${from && ' '}→ ${sw.to || 'no server'}${date ? `, ${moment(date)}` : ''}`;
}
