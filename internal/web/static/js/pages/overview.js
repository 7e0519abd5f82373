// Overview: what is wrong and what to do, the diagram of a director, its last
// switch, and what happened last.

import { attr, h, later, text } from '../dom.js';
import { createDiagram } from '../diagram.js';
import { age, bytes, clock, count, instant, moment, packets, plural, short, utc } from '../format.js';
import { errorOf, follow, toneOf } from '../journal.js';
import { createList } from '../list.js';
import { copyText, directorsOf, reasonText, serversOf, standing, stepText, under } from '../state.js';
import { headline, renderCounts, renderTimeline } from '../timeline.js';
import { mark, setMark } from '../widgets.js';

export const title = 'Overview';

const newest = 14; // events that are shown
const remembered = 200; // events that are kept, to find confirmations in

export function mount(root, ctx) {
  const { live } = ctx;
  let chosen = new URLSearchParams(location.search).get('director');
  const facts = h('p', { class: 'muted facts-line' });
  const alarms = alarmCard();
  const directors = directorList(choose);
  const director = directorCard();
  const last = switchCard();
  const events = eventsCard();
  const waiting = h('p', { class: 'card empty' }, 'Waiting for the daemon’s first picture …');
  const body = h('div', { class: 'overview', hidden: true }, directors.node,
    h('div', { class: 'overview-main' }, director.node, h('div', { class: 'overview-below' }, last.node, events.node)));
  root.append(h('div', { class: 'head' }, h('h1', {}, 'Overview'), facts), alarms.node, waiting, body);

  const draw = later(drawNow);
  function drawNow() {
    const value = live.value;
    if (!value) return;
    const names = directorsOf(value);
    if (!value.directors?.[chosen]) chosen = names.find((n) => standing(value.directors[n], value.blind).tone === 'bad') ?? names[0];
    waiting.hidden = true;
    body.hidden = false;
    text(facts, factsOf(value));
    alarms.draw(value.alarms ?? [], live.state === 'lost' || live.behind() > 0);
    body.classList.toggle('many', names.length > 1);
    directors.draw(value, names, chosen, live);
    director.draw(value, chosen, live);
    last.draw(chosen, value.directors?.[chosen], events.all());
    once('fairlead:overview');
  }

  function choose(name) {
    chosen = name;
    history.replaceState(null, '', '/?director=' + encodeURIComponent(name));
    drawNow();
  }

  const leave = live.subscribe(draw);
  const end = follow({ since: '168h', told: (some) => { events.add(some); draw(); }, state: events.state });
  const clockTick = setInterval(draw, 1000);
  return () => {
    leave();
    end();
    clearInterval(clockTick);
    draw.cancel();
    director.close();
    directors.close();
  };
}

// once marks the instant of the first picture, for who measures.
function once(name) {
  if (!performance.getEntriesByName(name).length) performance.mark(name);
}

function factsOf(value) {
  const since = instant(value.since);
  const table = value.connection_table ?? {};
  return [
    value.version && `fairlead ${value.version}`,
    `configuration ${value.generation}`,
    since && `daemon up ${age((Date.parse(value.at) - since) / 1000)}`,
    table.size ? `connection table ${count(table.used)} of ${short(table.size)} (${bytes(table.bytes)})` : null,
    ...Object.values(value.interfaces ?? {}).map((i) => `${i.name} ${i.up ? i.applied || 'not attached' : 'down'}`),
  ].filter(Boolean).join(' · ');
}

// Alarms: what happened, why, and what to do.
function alarmCard() {
  const list = h('ul', { class: 'alarms' });
  const head = h('h2', {});
  const node = h('section', { class: 'card alarm-card', 'aria-label': 'Alarms', role: 'status' }, h('header', {}, head), list);
  let drawn = null;
  return {
    node,
    draw(alarms, old) {
      const now = JSON.stringify([alarms, old]);
      if (now === drawn) return;
      drawn = now;
      attr(node, 'class', alarms.length ? 'card alarm-card alarming' : 'card alarm-card');
      head.replaceChildren(alarms.length ? mark(plural(alarms.length, 'alarm'), 'bad') : old ? 'No alarm when the daemon was last heard' : 'No alarm', ...(alarms.length ? [' – what is wrong, and what to do'] : []));
      list.replaceChildren(...alarms.map(alarm));
      list.hidden = alarms.length === 0;
    },
  };
}

const alarm = ({ what, why, do: act }) => h('li', {},
  h('p', { class: 'what' }, what),
  why && h('p', {}, h('span', { class: 'tagword' }, 'Why'), why),
  act && h('p', {}, h('span', { class: 'tagword' }, 'Do'), act));

// The list of directors, when there is more than one.
function directorList(choose) {
  let names = [];
  let value = null;
  let chosen = '';
  let rate = null;
  const search = h('input', { class: 'input', type: 'search', placeholder: 'Filter', 'aria-label': 'Filter the directors', on: { input: show } });
  const bad = h('input', { type: 'checkbox', on: { change: show } });
  const list = createList({
    caption: 'Directors',
    columns: [{ name: 'name', label: 'Director' }, { name: 'state', label: 'State' }, { name: 'rate', label: 'Rate', class: 'num' }],
    key: (name) => name,
    make: () => {
      const button = h('button', { type: 'button', class: 'linkish', on: { click: () => choose(button.textContent) } });
      return h('tr', {}, h('th', { scope: 'row' }, button), h('td', {}, mark('')), h('td', { class: 'num' }));
    },
    fill: (row, name) => {
      const director = value.directors[name];
      if (!director) return;
      const { word, tone } = standing(director, value.blind);
      text(row.cells[0].firstChild, name);
      attr(row.cells[0].firstChild, 'aria-current', name === chosen ? 'true' : null);
      attr(row, 'class', name === chosen ? 'chosen' : null);
      setMark(row.cells[1].firstChild, word, tone);
      text(row.cells[2], packets(rate((v) => v.directors?.[name]?.total?.packets)));
    },
    empty: 'No director fits the filter.',
  });
  const heading = h('h2', {});
  const node = h('section', { class: 'card directors', 'aria-label': 'Directors' },
    h('header', {}, heading, h('label', { class: 'small nowrap' }, bad, ' not up only'), search), list.node);

  function show() {
    const wanted = search.value.trim().toLowerCase();
    list.set(names.filter((n) => n.toLowerCase().includes(wanted) && (!bad.checked || standing(value.directors[n], value.blind).word !== 'up')));
  }

  return {
    node,
    close: list.close,
    draw(next, all, selected, live) {
      value = next;
      names = all;
      chosen = selected;
      rate = live.rate;
      node.hidden = all.length < 2;
      text(heading, plural(all.length, 'director'));
      if (!node.hidden) show();
    },
  };
}

// The diagram of the chosen director, and what to say of it.
function directorCard() {
  const name = h('h2', {});
  const state = mark('');
  const why = h('p', { class: 'said' });
  const note = h('p', { class: 'said note', hidden: true });
  const copies = h('p', { class: 'said copies', hidden: true });
  const step = h('p', { class: 'said step', role: 'status', hidden: true });
  const diagram = createDiagram();
  const node = h('section', { class: 'card', 'aria-label': 'Diagram' }, h('header', {}, name, state), h('div', { class: 'body' }, step, why, note, copies, diagram.node));
  const none = h('div', { class: 'empty', hidden: true }, h('p', {}, 'The configuration has no director yet.'),
    h('p', {}, 'Begin with the ', h('a', { href: '/flow' }, 'Flow'), ' tab, then ', h('a', { href: '/l4' }, 'LB layer 4'), '.'));
  node.append(none);
  let lastFlows = null;
  let byDirector = new Map();
  return {
    node,
    close: diagram.close,
    draw(value, chosen, live) {
      const director = value.directors?.[chosen];
      none.hidden = Boolean(director);
      node.querySelector('.body').hidden = !director;
      state.hidden = !director;
      text(name, director ? `Director ${chosen}` : 'Director');
      if (!director) return;
      if (value.flows !== lastFlows) {
        lastFlows = value.flows;
        byDirector = group(value.flows ?? {});
      }
      const { word, tone, of } = standing(director, value.blind);
      setMark(state, of ? `${of} is ${word}` : word, tone);
      text(why, sentence(director, value));
      text(note, director.note ?? '');
      note.hidden = !director.note;
      const behind = serversOf(director).filter((server) => server.copy).map((server) => `Copy on ${server.name}: ${copyText(server, value.at)}.`);
      text(copies, behind.join(' '));
      copies.hidden = behind.length === 0;
      step.hidden = !under(director);
      if (under(director)) text(step, stepSentence(director));
      diagram.draw({ name: chosen, director, flows: byDirector.get(chosen) ?? [], rate: live.rate, blind: value.blind });
    },
  };
}

function group(flows) {
  const all = new Map();
  for (const [name, flow] of Object.entries(flows)) {
    if (!flow.director) continue;
    if (!all.has(flow.director)) all.set(flow.director, []);
    all.get(flow.director).push({ name, vips: flow.vips ?? [] });
  }
  return all;
}

function sentence(director, value) {
  const way = director.mode === 'tunnel' ? ' Packets go to servers in tunnels.' : '';
  return state(director, value) + way;
}

function state(director, value) {
  const since = instant(director.since);
  const long = since ? ` for ${age((Date.parse(value.at) - since) / 1000)}` : '';
  if (director.balanced) {
    const active = Object.values(director.servers ?? {}).filter((s) => s.active).length;
    return `${plural(active, 'server')} of ${Object.keys(director.servers ?? {}).length} share the new connections by ${director.scheduler}.`;
  }
  if (value.blind) return `What the data plane holds is not known: ${value.blind}. Desired is ${director.desired || 'no server'}.`;
  const reason = `${reasonText(director.reason)}${director.why ? ` (${director.why})` : ''}`;
  if (!director.applied && !director.desired && !under(director)) return `No server has been active${long}: ${reason}. Packets are dropped.`;
  if (director.applied !== director.desired && !under(director)) {
    return `${director.desired || 'No server'} should be active, but the data plane has ${director.applied || 'no server'}: ${director.why || 'it is tried again by itself'}.`;
  }
  if (under(director)) return `${director.applied || 'No server'} was active${long}. No packet is forwarded until the switch ends; new connections wait.`;
  return `${director.applied} has been active${long}: ${reason}.`;
}

function stepSentence(director) {
  const since = instant(director.step_since);
  const long = since ? `, since ${clock(since)}` : '';
  const held = director.held_syns ? `; ${plural(director.held_syns, 'SYN is', 'SYNs are')} held` : '';
  return `A switch is under way${director.to ? ` to ${director.to}` : ''}: ${stepText(director)}${long}${held}.`;
}

// The last switch, step by step.
function switchCard() {
  const said = h('span', { class: 'muted' });
  const body = h('div', { class: 'body' });
  const node = h('section', { class: 'card', 'aria-label': 'Last switch', role: 'status' }, h('header', {}, h('h2', {}, 'Last switch'), said), body);
  let drawn = '';
  return {
    node,
    draw(name, director, events) {
      const sw = director?.last_switch;
      const confirmed = sw ? confirmation(name, sw, events) : null;
      const now = JSON.stringify([name, sw ?? null, confirmed]);
      if (now === drawn) return;
      drawn = now;
      text(said, sw ? headline(sw) : '');
      if (!sw) {
        body.replaceChildren(h('p', { class: 'muted' }, 'No switch since the daemon began. Earlier ones are in ', h('a', { href: '/events' }, 'Events'), '.'));
        return;
      }
      body.replaceChildren(
        h('p', { class: 'said' }, `Epoch ${sw.epoch}: ${reasonText(sw.reason)}${sw.why ? ` (${sw.why})` : ''}.`),
        renderTimeline(sw, confirmed), renderCounts(sw));
    },
  };
}

// confirmation is when the journal says that the old server's failure was confirmed.
function confirmation(name, sw, events) {
  if (sw.reason !== 'server-failed') return null;
  const before = Date.parse(sw.at) + 1;
  const after = Math.min(...[sw.suspected, sw.first_attempt].map(instant).filter(Boolean).map(Number), before);
  const found = events.findLast((e) => e.kind === 'health' && e.director === name && e.server === sw.from &&
    Date.parse(e.at) <= before && Date.parse(e.at) >= after - 1);
  return found?.at ?? null;
}

// What happened last.
function eventsCard() {
  let kept = [];
  const list = h('ol', { class: 'events' });
  const lost = h('span', { class: 'muted', role: 'status' });
  const node = h('section', { class: 'card', 'aria-label': 'Recent events' },
    h('header', {}, h('h2', {}, 'Recent events'), lost, h('a', { href: '/events' }, 'All events')), list);
  const none = h('li', { class: 'empty' }, 'Nothing happened in the last 7 days.');
  list.append(none);
  return {
    node,
    all: () => kept,
    state: (s) => text(lost, s === 'lost' ? 'the stream is lost; trying again' : ''),
    add(some) {
      kept = kept.concat(some).slice(-remembered);
      // Who logged in is for Events: it would hide what happened to the service.
      const last = kept.filter((e) => e.kind !== 'audit' || e.error).slice(-newest).reverse();
      list.replaceChildren(...(last.length ? last.map(line) : [none]));
    },
  };
}

function line(event) {
  const date = instant(event.at);
  const about = [event.director, event.server].filter(Boolean).join('/');
  return h('li', {},
    h('time', { datetime: event.at, title: `${moment(date)}, ${utc(date)}` }, Date.now() - date > 64_800_000 ? moment(date).slice(5, 16) : clock(date)),
    mark(event.kind, toneOf(event)),
    h('span', { class: 'event-text' }, about && h('strong', {}, about + ' '), event.text, errorOf(event) && h('span', { class: 'tone-bad' }, ` – ${errorOf(event)}`), event.by && h('span', { class: 'muted' }, ` by ${event.by}`)));
}
