// templates shows what option persistence remembers: which client is kept on which
// server, with a way to let it go. It is seen only where a director has persistence.

import { attr, h, text } from './dom.js';
import { count, plural, span } from './format.js';
import { query } from './api.js';
import { createList } from './list.js';
import { mark, problemText, setMark } from './widgets.js';

const every = 5000; // ms between questions

const columns = [
  { name: 'client', label: 'Client' },
  { name: 'director', label: 'Director' },
  { name: 'server', label: 'Server' },
  { name: 'state', label: 'State', hint: 'holds: new connections of the client go to the server; waits: it takes none at the moment' },
  { name: 'left', label: 'Ends in', class: 'num', hint: 'if no connection of the client begins or ends, and none lasts' },
  { name: 'act', label: '' },
];

const persists = (value) => Object.values(value?.directors ?? {}).some((d) => d.persistence);

// createTemplates returns {node, ask(wanted), close()}.
export function createTemplates(ctx) {
  const total = h('p', { class: 'muted', role: 'status' });
  const wrong = h('p', { class: 'said refusal', role: 'alert', hidden: true });
  const list = createList({ caption: 'Clients that are kept on a server', columns, key: (t) => `${t.client} ${t.director}`, make: makeRow, fill: fillRow, empty: 'No client is kept on a server.' });
  const node = h('section', { class: 'card table-card', 'aria-label': 'Clients that persistence keeps', hidden: true },
    h('div', { class: 'head' }, h('h2', {}, 'Kept clients'), total), wrong, list.node);
  let last = {};
  let asking = null;

  async function ask({ client, director } = last) {
    last = { client, director };
    node.hidden = !persists(ctx.live.value);
    if (node.hidden) return;
    asking?.abort();
    const mine = (asking = new AbortController());
    try {
      const answer = await ctx.api.get('/templates' + query(last), { signal: mine.signal });
      wrong.hidden = true;
      text(total, totals(answer));
      list.set(answer.templates ?? []);
    } catch (failed) {
      if (failed.name === 'AbortError') return;
      wrong.hidden = false;
      text(wrong, problemText(failed));
    }
  }

  function makeRow() {
    const go = h('button', { type: 'button', class: 'button small', hidden: !ctx.may('operator') }, 'Let go');
    return h('tr', {}, h('th', { scope: 'row', class: 'mono' }), h('td'), h('td'), h('td', {}, mark('')), h('td', { class: 'num' }), h('td', {}, go));
  }

  function fillRow(row, t) {
    const [client, director, server, state, left, act] = row.cells;
    text(client, t.client);
    text(director, t.director);
    text(server, t.server || '–');
    setMark(state.firstChild, t.holds ? 'holds' : 'waits', t.holds ? 'ok' : 'unknown');
    text(left, span(t.left_ns));
    attr(act.firstChild, 'aria-label', `Let ${t.client} of ${t.director} go`);
    act.firstChild.onclick = () => forget(t);
  }

  async function forget({ client, director, server }) {
    const yes = await ctx.confirm({
      title: `Let ${client} go?`,
      body: [`Its next connection goes where the scheduler of ${director} says, perhaps to another server than ${server}. Connections that exist go on.`],
      confirm: 'Let it go',
    });
    if (!yes) return;
    try {
      const done = await ctx.api.del('/templates' + query({ director, client }));
      ctx.toast(`${director}: ${plural(done.forgotten, 'template')} removed`, { kind: 'ok' });
      ask();
    } catch (failed) {
      ctx.toast(problemText(failed), { kind: 'bad' });
    }
  }

  const unwatch = ctx.live.subscribe(() => node.hidden && persists(ctx.live.value) && ask());
  const timer = setInterval(() => !document.hidden && ask(), every);
  return {
    node,
    ask,
    close() {
      unwatch();
      clearInterval(timer);
      asking?.abort();
      list.close();
    },
  };
}

function totals({ templates, matched, known }) {
  const shown = templates?.length ?? 0;
  const fits = matched === known ? `all ${count(known)} known` : `${count(matched)} of ${count(known)} known fit`;
  return shown < matched ? `first ${count(shown)} shown; ${fits}` : fits;
}
