// Servers: every server with what is desired, applied and observed of it, and the
// orders about it.

import { query } from '../api.js';
import { after, attr, h, later, text } from '../dom.js';
import { age, count, instant, packets, plural, span } from '../format.js';
import { createList } from '../list.js';
import { sparkline } from '../plot.js';
import { createServer } from '../server.js';
import { address, applied, copyText, desired, directorsOf, healthOf } from '../state.js';
import { mark, setMark } from '../widgets.js';

export const title = 'Servers';

const fresh = 10_000; // ms after which the results of checks are asked for again
const atOnce = 4; // questions for results of checks

const columns = [
  { name: 'name', label: 'Server', sort: true },
  { name: 'desired', label: 'Desired', sort: true, hint: 'what it should be' },
  { name: 'applied', label: 'Applied', sort: true, hint: 'what the data plane makes of it' },
  { name: 'health', label: 'Observed', sort: true, hint: 'what its checks found' },
  { name: 'why', label: 'Since, why', class: 'col-why' },
  { name: 'latency', label: 'Check', sort: true, class: 'num' },
  { name: 'spark', label: 'Latency', class: 'col-spark' },
  { name: 'connections', label: 'Connections', sort: true, class: 'num' },
  { name: 'rate', label: 'Rate', class: 'num' },
];

const bad = { down: 0, unknown: 1, unchecked: 2, up: 3 };
const order = {
  name: (a, b) => a.place - b.place,
  desired: (a, b) => compare(a.desired, b.desired),
  applied: (a, b) => compare(a.applied, b.applied),
  health: (a, b) => bad[healthOf(a.server)] - bad[healthOf(b.server)],
  latency: (a, b) => a.server.latency_ns - b.server.latency_ns,
  connections: (a, b) => a.server.connections - b.server.connections,
};
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

export function mount(root, ctx) {
  const { live } = ctx;
  const wanted = new URLSearchParams(location.search);
  const filter = toolbar(show);
  const total = h('p', { class: 'muted', role: 'status' });
  const histories = historyCache(ctx, () => list.refresh());
  let sort = { by: 'name', down: false };
  let rows = [];
  let said = null; // whether there are servers, as the empty list says it
  const list = createList({
    caption: 'Servers', columns, key: (item) => item.key, make: makeRow, fill: fillRow, onSort: sortBy,
    empty: 'Waiting for the daemon’s first picture …',
  });
  const detail = createServer(ctx, close);
  root.append(h('div', { class: 'head' }, h('h1', {}, 'Servers'), total), filter.node,
    h('div', { class: 'split' }, h('section', { class: 'card table-card', 'aria-label': 'List of servers' }, list.node), detail.node));
  list.sorted(sort.by, sort.down);
  root.addEventListener('click', follow);

  const draw = later(() => {
    if (!live.value) return;
    show();
    detail.draw(live.value);
    if (!performance.getEntriesByName('fairlead:servers').length) performance.mark('fairlead:servers');
  });

  function show() {
    if (!live.value) return;
    rows = collect(live.value);
    filter.offer(directorsOf(live.value));
    const some = rows.filter(filter.fits).sort((a, b) => (order[sort.by](a, b) || a.place - b.place) * (sort.down ? -1 : 1));
    text(total, some.length === rows.length ? plural(rows.length, 'server') : `${count(some.length)} of ${plural(rows.length, 'server')}`);
    if (said !== rows.length > 0) {
      said = rows.length > 0;
      list.say(...(said ? ['No server fits the filter.'] : ['The configuration has no server yet. Begin with the ', h('a', { href: '/flow' }, 'Flow'), ' tab, then ', h('a', { href: '/l4' }, 'LB layer 4'), '.']));
    }
    list.set(some);
    histories.want(list.visible());
  }

  function sortBy(name) {
    sort = { by: name, down: sort.by === name && !sort.down };
    list.sorted(sort.by, sort.down);
    show();
  }

  function makeRow() {
    const link = h('a', { href: '/servers' });
    const spark = sparkline();
    const row = h('tr', {},
      h('th', { scope: 'row', class: 'col-name' }, h('span', { class: 'cell' }, link, h('span', { class: 'small muted' }))),
      ...['desired', 'applied', 'health'].map((name) => h('td', { class: 'col-' + name, 'data-label': name }, mark(''))),
      h('td', { class: 'col-why' }), h('td', { class: 'num col-latency' }), h('td', { class: 'col-spark' }, spark.node),
      h('td', { class: 'num col-connections' }), h('td', { class: 'num col-rate' }));
    row.spark = spark;
    return row;
  }

  function fillRow(row, item) {
    const { server } = item;
    const [name, want, have, health, why, latency, , connections, rate] = row.cells;
    const link = name.firstChild.firstChild;
    text(link, item.key);
    attr(link, 'href', '/servers' + query({ director: item.director, server: item.name }));
    text(name.firstChild.lastChild, address(server));
    attr(row, 'class', detail.shows(item.key) ? 'chosen' : null);
    setMark(want.firstChild, item.desired);
    setMark(have.firstChild, item.applied, item.applied === 'unknown' ? 'unknown' : item.applied === 'active' ? 'accent' : item.applied === 'on hold' || item.desired === 'active' ? 'warn' : 'plain');
    setMark(health.firstChild, healthOf(server));
    text(why, sinceWhy(server, live.value));
    attr(why, 'title', why.textContent);
    text(latency, server.health !== 'up' || !server.latency_ns ? '–' : span(server.latency_ns));
    text(connections, count(server.connections));
    text(rate, packets(live.rate((v) => v.directors?.[item.director]?.servers?.[item.name]?.total?.packets)));
    const probes = histories.of(item.key);
    if (row.probes !== probes) {
      row.probes = probes;
      row.spark.draw(probes ?? []);
    }
  }

  // A server is opened in place: the list keeps its place.
  function follow(event) {
    const link = event.target.closest?.('.col-name a');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const of = new URL(link.href).searchParams;
    history.replaceState(null, '', link.href);
    choose(of.get('director'), of.get('server'), true);
  }

  function choose(director, server, focus) {
    detail.open(director, server);
    draw();
    if (focus) detail.focus();
  }

  function close(key) {
    history.replaceState(null, '', '/servers');
    list.refresh();
    const link = [...list.node.querySelectorAll('.col-name a')].find((a) => a.textContent === key);
    (link ?? list.node).focus();
  }

  if (wanted.get('server')) choose(wanted.get('director'), wanted.get('server'), false);
  else if (wanted.get('director')) filter.director(wanted.get('director'));
  const leave = live.subscribe(draw);
  const wake = after(150, () => histories.want(list.visible()));
  list.node.addEventListener('scroll', wake, { passive: true });
  const tick = setInterval(() => histories.want(list.visible()), 1000);
  return () => {
    leave();
    clearInterval(tick);
    wake.cancel();
    draw.cancel();
    list.close();
    detail.stop();
    histories.close();
  };
}

// collect is every server, in the configuration's order.
function collect(value) {
  const all = [];
  for (const director of directorsOf(value)) {
    const d = value.directors[director];
    const names = Object.keys(d.servers ?? {}).sort((a, b) => (d.servers[a].order ?? 0) - (d.servers[b].order ?? 0));
    for (const name of names) {
      const server = d.servers[name];
      const named = { name, ...server };
      all.push({ key: `${director}/${name}`, director, name, server, place: all.length, desired: desired(d, named), applied: applied(d, named, value.blind) });
    }
  }
  return all;
}

// sinceWhy says since when a health holds, and why when it is not up.
function sinceWhy(server, value) {
  const since = instant(server.since);
  const long = since ? age((Date.parse(value.at) - since) / 1000) : '';
  const why = server.health === 'up' ? '' : server.why || (server.advisory && `asked while active: ${server.advisory}`) || '';
  return [long, why, server.copy && `copy ${copyText(server, value.at)}`, server.not_ready && `not ready: ${server.not_ready}`].filter(Boolean).join(': ') || '–';
}

// The filter: a text, a director, a state.
function toolbar(changed) {
  const search = h('input', { class: 'input', type: 'search', placeholder: 'Name, address or why', on: { input: changed } });
  const director = h('select', { class: 'select', on: { change: changed } }, h('option', { value: '' }, 'all'));
  const states = { '': 'all', active: 'active', standby: 'standby', up: 'up', down: 'down', unknown: 'unknown or unchecked', marked: 'drained or disabled', differs: 'not as desired' };
  const state = h('select', { class: 'select', on: { change: changed } }, Object.entries(states).map(([value, label]) => h('option', { value }, label)));
  const field = (label, control) => h('label', { class: 'field' }, h('span', {}, label), control);
  let offered = '';
  let asked = '';
  const tests = {
    active: (i) => i.applied === 'active', standby: (i) => i.applied !== 'active', up: (i) => i.server.health === 'up',
    down: (i) => i.server.health === 'down', unknown: (i) => !['up', 'down'].includes(healthOf(i.server)),
    marked: (i) => i.desired === 'draining' || i.desired === 'disabled', differs: (i) => (i.desired === 'active') !== (i.applied === 'active'),
  };
  return {
    node: h('form', { class: 'toolbar', role: 'search', on: { submit: (e) => e.preventDefault() } }, field('Search', search), field('Director', director), field('State', state)),
    director(name) { asked = name; },
    offer(names) {
      if (names.join('\n') === offered) return;
      offered = names.join('\n');
      const now = asked || director.value;
      asked = '';
      director.replaceChildren(h('option', { value: '' }, 'all'), ...names.map((n) => h('option', { value: n }, n)));
      director.value = names.includes(now) ? now : '';
    },
    fits(item) {
      const words = search.value.trim().toLowerCase();
      if (director.value && item.director !== director.value) return false;
      if (state.value && !tests[state.value](item)) return false;
      return !words || `${item.key} ${item.server.addr} ${item.server.why ?? ''}`.toLowerCase().includes(words);
    },
  };
}

// historyCache asks for the results of checks of the servers that are seen, a few
// at a time.
function historyCache(ctx, changed) {
  const known = new Map(); // key to {at, probes}
  const ending = new AbortController();
  let queue = [];
  let busy = 0;
  const tell = after(60, changed);

  function next() {
    while (busy < atOnce && queue.length) ask(queue.shift());
  }

  async function ask(item) {
    busy++;
    const before = known.get(item.key)?.probes;
    known.set(item.key, { at: Date.now(), probes: before });
    try {
      const probes = await ctx.api.get(`/servers/${encodeURIComponent(item.director)}/${encodeURIComponent(item.name)}/history`, { signal: ending.signal });
      known.set(item.key, { at: Date.now(), probes });
      tell();
    } catch {
      // The row shows no line; the stream says what is wrong.
    }
    busy--;
    next();
  }

  return {
    of: (key) => known.get(key)?.probes,
    want(items) {
      if (document.hidden || ending.signal.aborted) return;
      queue = items.filter((i) => i.server.health !== 'unchecked' && Date.now() - (known.get(i.key)?.at ?? 0) > fresh);
      next();
    },
    close() {
      ending.abort();
      tell.cancel();
    },
  };
}

