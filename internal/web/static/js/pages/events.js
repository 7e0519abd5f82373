// Events: what happened, to what, why, and who did it. The list follows the journal.

import { query } from '../api.js';
import { after, attr, h, later, text } from '../dom.js';
import { clock, count, day, instant, plural, span, utc } from '../format.js';
import { errorOf, follow, groups, toneOf } from '../journal.js';
import { createList } from '../list.js';
import { reasonText } from '../state.js';
import { mark, setMark } from '../widgets.js';

export const title = 'Events';

const most = 50_000; // entries that are kept here; older ones are left to `fairlead events`

const columns = [
  { name: 'time', label: 'Time' },
  { name: 'kind', label: 'Kind' },
  { name: 'about', label: 'About' },
  { name: 'text', label: 'What happened', class: 'col-text' },
  { name: 'by', label: 'Who' },
];

export function mount(root, ctx) {
  let all = []; // the oldest first
  let waiting = []; // came while the list is paused
  let paused = false;
  let stop = () => {};
  const total = h('p', { class: 'muted', role: 'status' });
  const form = createForm(new URLSearchParams(location.search), { changed: show, restarted: restart, pause });
  const list = createList({
    caption: 'Events, the newest first', columns, key: (e) => String(e.seq), make: makeRow, fill: fillRow,
    empty: 'No event fits the filter.',
  });
  list.node.addEventListener('click', (event) => {
    const row = event.target.closest('tr[data-seq]');
    if (row) detail(all.find((e) => String(e.seq) === row.dataset.seq));
  });
  root.append(h('div', { class: 'head' }, h('h1', {}, 'Events'), total), form.node, h('section', { class: 'card table-card', 'aria-label': 'List of events' }, list.node));

  const draw = later(show);
  function show() {
    const fits = form.test();
    const some = all.filter(fits).reverse();
    history.replaceState(null, '', '/events' + query(form.values()));
    text(total, [
      some.length === all.length ? plural(all.length, 'event') : `${count(some.length)} of ${plural(all.length, 'event')}`,
      paused ? `paused; ${count(waiting.length)} new` : form.lost() ? 'the stream is lost; trying again' : 'following',
    ].join(', '));
    list.set(some);
    if (all.length && !performance.getEntriesByName('fairlead:events').length) performance.mark('fairlead:events');
  }

  function take(some) {
    if (paused) waiting = waiting.concat(some);
    else all = all.concat(some);
    if (all.length > most) all = all.slice(-most);
    form.learn(some);
    draw();
  }

  function pause(now) {
    paused = now;
    if (!paused) {
      const some = waiting;
      waiting = [];
      take(some);
    }
    draw();
  }

  function restart() {
    stop();
    all = [];
    waiting = [];
    draw();
    stop = follow({ since: form.since(), told: take, state: (s) => { form.lost(s === 'lost'); draw(); } });
  }

  restart();
  return () => {
    stop();
    draw.cancel();
    list.close();
    form.close();
  };
}

function makeRow() {
  return h('tr', {}, h('td', { class: 'col-time' }, h('time')), h('td', { class: 'col-kind' }, mark('')), h('td', { class: 'col-about' }),
    h('td', { class: 'col-text' }, h('button', { type: 'button', class: 'plain-button', title: 'Show all of it' }, h('span'), h('span', { class: 'tone-bad' }), h('span', { class: 'muted' }))), h('td', { class: 'col-by' }));
}

function fillRow(row, e) {
  const [time, kind, about, what, by] = row.cells;
  const date = instant(e.at);
  attr(row, 'data-seq', e.seq);
  text(time.firstChild, `${day(date)} ${clock(date, true)}`);
  attr(time.firstChild, 'datetime', e.at);
  attr(time.firstChild, 'title', utc(date));
  setMark(kind.firstChild, e.kind, toneOf(e));
  text(about, aboutOf(e));
  text(what.firstChild.firstChild, e.text);
  text(what.firstChild.children[1], errorOf(e) && ` – ${errorOf(e)}`);
  text(what.firstChild.lastChild, e.reason && e.reason !== 'none' ? ` (${e.reason})` : '');
  text(by, e.by ?? '');
}

const aboutOf = (e) => [e.director, e.server].filter(Boolean).join('/');

// detail shows an entry whole.
function detail(e) {
  if (!e) return;
  const date = instant(e.at);
  const facts = [
    ['Time', `${day(date)} ${clock(date, true)} (here)`], ['', utc(date)], ['About', aboutOf(e)], ['Reason', e.reason && e.reason !== 'none' ? reasonText(e.reason) : ''],
    ['Error', e.error], ['Who', e.by], ['Took', e.took_ns ? span(e.took_ns) : ''], ['Epoch', e.epoch], ['Number', e.seq],
  ].filter(([, value]) => value);
  const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'event-title' },
    h('h2', { id: 'event-title' }, mark(e.kind, toneOf(e))),
    h('div', { class: 'dialog-body' }, h('p', {}, e.text),
      h('dl', { class: 'panel-facts' }, facts.map(([label, value]) => h('div', {}, h('dt', {}, label || h('span', { class: 'hide' }, 'the same')), h('dd', {}, value))))),
    h('div', { class: 'dialog-buttons' }, h('button', { type: 'button', class: 'button primary', on: { click: () => dialog.close() } }, 'Close')));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const spans = { '1h': 'the last hour', '24h': 'the last 24 hours', '168h': 'the last 7 days', all: 'all that is kept' };

// The filter: kinds, a director, a text, and how far back.
function createForm(given, { changed, restarted, pause }) {
  let isLost = false;
  let paused = false;
  const soon = after(120, changed);
  const kind = h('select', { class: 'select', on: { change: changed } }, h('option', { value: '' }, 'all'),
    Object.keys(groups).map((g) => h('option', { value: g }, g)),
    Object.entries(groups).map(([g, kinds]) => h('optgroup', { label: g }, kinds.map((k) => h('option', { value: k }, k)))));
  const director = h('select', { class: 'select', on: { change: changed } }, h('option', { value: '' }, 'all'));
  const search = h('input', { class: 'input', type: 'search', placeholder: 'Words, a server, a name', on: { input: soon } });
  const since = h('select', { class: 'select', on: { change: restarted } }, Object.entries(spans).map(([value, label]) => h('option', { value }, label)));
  const button = h('button', { type: 'button', class: 'button', 'aria-pressed': 'false', on: { click: turn } }, 'Pause');
  const names = new Set();
  kind.value = given.get('kind') ?? '';
  if (kind.selectedIndex < 0) kind.value = '';
  search.value = given.get('text') ?? '';
  since.value = spans[given.get('since')] ? given.get('since') : '168h';
  if (given.get('director')) learn([{ director: given.get('director') }]);
  director.value = given.get('director') ?? '';
  const field = (label, control) => h('label', { class: 'field' }, h('span', {}, label), control);

  function turn() {
    paused = !paused;
    attr(button, 'aria-pressed', String(paused));
    text(button, paused ? 'Go on' : 'Pause');
    pause(paused);
  }

  function learn(some) {
    const before = names.size;
    for (const e of some) if (e.director) names.add(e.director);
    if (names.size === before) return;
    const now = director.value;
    director.replaceChildren(h('option', { value: '' }, 'all'), ...[...names].sort().map((n) => h('option', { value: n }, n)));
    director.value = now;
  }

  return {
    node: h('form', { class: 'toolbar', role: 'search', on: { submit: (e) => e.preventDefault() } },
      field('Kind', kind), field('Director', director), field('Text', search), field('Since', since), button),
    close: () => soon.cancel(),
    since: () => (since.value === 'all' ? '' : since.value),
    values: () => ({ kind: kind.value, director: director.value, text: search.value.trim(), since: since.value === '168h' ? '' : since.value }),
    lost: (now) => (now === undefined ? isLost : (isLost = now)),
    learn,
    test() {
      const kinds = kind.value ? groups[kind.value] ?? [kind.value] : null;
      const words = search.value.trim().toLowerCase();
      return (e) => (!kinds || kinds.includes(e.kind)) && (!director.value || e.director === director.value) &&
        (!words || `${e.text} ${e.error ?? ''} ${aboutOf(e)} ${e.by ?? ''} ${e.reason ?? ''} ${e.kind}`.toLowerCase().includes(words));
    },
  };
}
