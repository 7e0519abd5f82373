// Connections: which client is connected to which server, how long, in what state.

import { query } from '../api.js';
import { attr, h, text } from '../dom.js';
import { count, plural, span } from '../format.js';
import { createList } from '../list.js';
import { directorsOf, serversOf } from '../state.js';
import { createTemplates } from '../templates.js';
import { mark, problemText, setMark } from '../widgets.js';

export const title = 'Connections';

const every = 5000; // ms between questions, when the list follows

const columns = [
  { name: 'client', label: 'Client', sort: true },
  { name: 'vip', label: 'Virtual IP' },
  { name: 'director', label: 'Director', sort: true },
  { name: 'server', label: 'Server', sort: true },
  { name: 'state', label: 'State', sort: true, hint: 'open; ended: the client’s FIN or RST was seen; old: of before the last switch' },
  { name: 'age', label: 'Age', sort: true, class: 'num', hint: 'since its first packet was seen' },
];

const states = { '': 'all', open: 'open', ended: 'ended', old: 'old: of before the last switch' };

export function mount(root, ctx) {
  const given = new URLSearchParams(location.search);
  const form = createForm(ctx, given, ask);
  const templates = createTemplates(ctx);
  const total = h('p', { class: 'muted', role: 'status' });
  const wrong = h('p', { class: 'said refusal', role: 'alert', hidden: true });
  let found = [];
  let sort = { by: 'client', down: false };
  let asking = null;
  const list = createList({
    caption: 'Connections', columns, key: (c) => `${c.client} ${c.vip}`, make: makeRow, fill: fillRow, onSort: sortBy,
    empty: 'No connection fits. Only TCP connections are known, and those that began while the data plane was attached.',
  });
  root.append(h('div', { class: 'head' }, h('h1', {}, 'Connections'), total), form.node, wrong,
    h('section', { class: 'card table-card', 'aria-label': 'List of connections' }, list.node), templates.node);
  list.sorted(sort.by, sort.down);

  async function ask() {
    asking?.abort();
    const mine = (asking = new AbortController());
    const wanted = form.wanted();
    history.replaceState(null, '', '/connections' + query(wanted));
    templates.ask(wanted);
    try {
      const answer = await ctx.api.get('/connections' + query(wanted), { signal: mine.signal });
      found = answer.connections ?? [];
      wrong.hidden = true;
      text(total, totals(answer, found.length));
      show();
      if (!performance.getEntriesByName('fairlead:connections').length) performance.mark('fairlead:connections');
    } catch (failed) {
      if (failed.name === 'AbortError') return;
      wrong.hidden = false;
      text(wrong, problemText(failed));
    }
  }

  function sortBy(name) {
    sort = { by: name, down: sort.by === name && !sort.down };
    list.sorted(sort.by, sort.down);
    show();
  }

  function show() {
    const value = values[sort.by];
    const all = sort.by === 'client' && !sort.down ? found : [...found].sort((a, b) => compare(value(a), value(b)) * (sort.down ? -1 : 1));
    list.set(all);
  }

  const unwatch = ctx.live.subscribe(() => form.offer());
  const timer = setInterval(() => form.follows() && !document.hidden && ask(), every);
  ask();
  return () => {
    unwatch();
    clearInterval(timer);
    asking?.abort();
    list.close();
    templates.close();
  };
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const values = {
  client: (c) => c.client, director: (c) => c.director, server: (c) => c.server, state: (c) => c.state, age: (c) => c.age_ns ?? 0,
};

function totals({ matched, known }, shown) {
  const fits = matched === known ? `all ${plural(known, 'connection')} known` : `${count(matched)} of ${plural(known, 'connection')} known fit`;
  return shown < matched ? `first ${count(shown)} shown; ${fits}` : fits;
}

function makeRow() {
  return h('tr', {}, h('th', { scope: 'row', class: 'mono' }), h('td', { class: 'mono' }), h('td'), h('td', {}, h('a', { href: '/servers' })), h('td', {}, mark('')),
    h('td', { class: 'num' }));
}

function fillRow(row, c) {
  const [client, vip, director, server, state, long] = row.cells;
  text(client, c.client);
  text(vip, c.vip);
  text(director, c.director);
  text(server.firstChild, c.server || '–');
  attr(server.firstChild, 'href', '/servers' + query({ director: c.director, server: c.server }));
  setMark(state.firstChild, c.state);
  text(long, span(c.age_ns));
}

// The form: what to look for.
function createForm(ctx, given, ask) {
  const client = h('input', { class: 'input', type: 'search', placeholder: '192.168.10.21 or 192.168.10.0/24', value: given.get('client') ?? '', spellcheck: 'false', size: 24 });
  const director = h('select', { class: 'select', on: { change: () => { fillServers(); ask(); } } });
  const server = h('select', { class: 'select', on: { change: ask } });
  const state = h('select', { class: 'select', on: { change: ask } }, Object.entries(states).map(([value, label]) => h('option', { value }, label)));
  const limit = h('select', { class: 'select', on: { change: ask } }, [200, 1000, 5000].map((n) => h('option', { value: n }, count(n))));
  const follow = h('input', { type: 'checkbox', checked: true });
  state.value = given.get('state') ?? '';
  limit.value = given.get('limit') ?? '200';
  const first = { director: given.get('director') ?? '', server: given.get('server') ?? '' };
  choices(director, first.director ? [first.director] : [], first.director);
  choices(server, first.server ? [first.server] : [], first.server);
  const field = (label, control) => h('label', { class: 'field' }, h('span', {}, label), control);
  const node = h('form', { class: 'toolbar', role: 'search', on: { submit: (e) => { e.preventDefault(); ask(); } } },
    field('Client', client), field('Director', director), field('Server', server), field('State', state), field('At most', limit),
    h('button', { type: 'submit', class: 'button primary' }, 'Search'),
    h('label', { class: 'check' }, follow, ' again every 5 s'));
  let offered = '';

  function fillServers() {
    const d = ctx.live.value?.directors?.[director.value];
    choices(server, d ? serversOf(d).map((s) => s.name) : [], server.value);
  }

  return {
    node,
    follows: () => follow.checked,
    wanted: () => ({ client: client.value.trim(), director: director.value, server: server.value, state: state.value, limit: limit.value === '200' ? '' : limit.value }),
    offer() {
      const names = directorsOf(ctx.live.value);
      if (names.join('\n') === offered) return;
      offered = names.join('\n');
      choices(director, names, director.value);
      fillServers();
    },
  };
}

function choices(select, names, value) {
  select.replaceChildren(h('option', { value: '' }, 'all'), ...names.map((n) => h('option', { value: n }, n)));
  select.value = names.includes(value) ? value : '';
}
