// The page Services: the parts of the daemon, their state, and their settings. As on
// the appliance, the Edit icon of the LVS service opens its lines in place.

import { h, s, stylesheet, text, attr } from '../dom.js';
import { mark, setMark } from '../widgets.js';
import { workspaceOf } from '../workspace.js';
import { createDesk, leaving } from '../desk.js';

export const title = 'Services';

// Services that have lines in the services document.
const EDITED = new Set(['lvs', 'web', 'notify']);
const LVS = { name: 'lvs', title: 'LVS' };

const placeholder = '# For example:\n# sysctl expire_nodest_conn=1\n# sysctl expire_quiescent_template=1';

export function mount(root, ctx) {
  const space = workspaceOf(ctx);
  const me = { ctx, space, rows: new Map(), open: '', desk: null };
  me.body = h('tbody');
  me.place = h('div', { class: 'in-place' });
  let leave = () => {};
  let left = false;
  root.append(h('div', { class: 'head' }, h('h1', {}, title), h('p', { class: 'muted lead' },
    'The parts of the daemon. Restarting one loses no packet: the data plane goes on forwarding meanwhile.')));
  stylesheet('editor').then(() => {
    if (left) return;
    root.append(table(me.body), me.place);
    draw(me, ctx.live.value?.services);
    leave = ctx.live.subscribe((value) => draw(me, value?.services));
    if (space.target) edit(me, LVS); // a finding of another page points here
  });
  return () => {
    left = true;
    leave();
    me.desk?.close();
    leaving(ctx, space);
  };
}

const table = (body) => h('section', { class: 'card' }, h('div', { class: 'scroll' }, h('table', { class: 'services' },
  h('caption', { class: 'hide' }, 'Services, their state, and what may be done with them'),
  h('thead', {}, h('tr', {}, ['Service', 'State', 'Why, or where', 'Actions'].map((n) => h('th', { scope: 'col' }, n)))),
  body)));

// draw keeps the rows that stay, so that a button keeps the focus.
function draw(me, services) {
  const known = Object.values(services ?? {});
  const all = known.some((x) => x.name === LVS.name) ? known : [{ ...LVS, state: 'unknown', why: 'the daemon has not said yet' }, ...known];
  const order = (x) => x.order ?? (x.name === LVS.name ? -1 : 0);
  all.sort((a, b) => order(a) - order(b) || a.title.localeCompare(b.title));
  for (const [name, row] of me.rows) {
    if (!all.some((x) => x.name === name)) {
      row.node.remove();
      me.rows.delete(name);
    }
  }
  all.forEach((service, i) => {
    let row = me.rows.get(service.name);
    if (!row) {
      row = makeRow(me, service);
      me.rows.set(service.name, row);
    }
    if (me.body.children[i] !== row.node) me.body.insertBefore(row.node, me.body.children[i] ?? null);
    text(row.title, service.title || service.name);
    setMark(row.state, service.state, tone(service.state));
    text(row.why, service.why ?? '');
  });
}

const tone = (state) => ({ running: 'ok', failed: 'bad', off: 'plain' }[state] ?? 'unknown');

function makeRow(me, service) {
  const { name } = service;
  const row = { title: h('span'), state: mark('unknown', 'unknown'), why: h('td', { class: 'why' }) };
  const called = `the ${service.title || name} service`;
  row.edit = EDITED.has(name) && h('button', {
    type: 'button', class: 'button icon-button', 'aria-expanded': 'false', title: `${me.space.editable ? 'Edit' : 'Show'} ${called}`,
    'aria-label': `${me.space.editable ? 'Edit' : 'Show'} ${called}`, dataset: { edit: name }, on: { click: () => toggle(me, service) },
  }, pencil(), h('span', {}, me.space.editable ? 'Edit' : 'Show'));
  const restart = me.space.editable && h('button', {
    type: 'button', class: 'button', 'aria-label': `Restart ${called}`, dataset: { restart: name }, on: { click: (e) => askRestart(me, service, e.currentTarget) },
  }, 'Restart…');
  row.node = h('tr', { dataset: { service: name } },
    h('th', { scope: 'row' }, row.title, ' ', h('code', { class: 'muted small' }, name)),
    h('td', {}, row.state), row.why, h('td', { class: 'row-actions' }, row.edit, restart));
  return row;
}

const pencil = () => s('svg', { viewBox: '0 0 16 16', width: 14, height: 14, 'aria-hidden': 'true', class: 'pencil' },
  s('path', { d: 'M2 14l.8-3.4L11 2.4a1.4 1.4 0 0 1 2 0l.6.6a1.4 1.4 0 0 1 0 2L5.4 13.2z' }));

function toggle(me, service) {
  if (me.open === service.name) close(me);
  else edit(me, service);
}

function close(me) {
  me.desk?.close();
  me.desk = null;
  me.place.replaceChildren();
  me.open = '';
  showOpen(me);
}

function showOpen(me) {
  for (const [name, row] of me.rows) if (row.edit) attr(row.edit, 'aria-expanded', String(name === me.open));
}

// edit opens the lines of a service below the table.
function edit(me, service) {
  close(me);
  me.open = service.name;
  showOpen(me);
  const called = `the ${service.title || service.name} service`;
  const label = `Save and restart ${called}`;
  me.place.append(h('h2', {}, `Settings of ${called}`));
  me.desk = createDesk(me.place, me.ctx, me.space, {
    pick,
    placeholder,
    apply: { label: 'Save and restart', title: label, verb: label, always: true, after: (answer) => restart(me, service, Boolean(answer)) },
  });
  me.desk.ready.then(() => {
    if (!me.space.target) me.place.querySelector('textarea')?.focus();
    me.place.scrollIntoView({ block: 'nearest' });
  }, () => {});
}

// pick chooses the documents with the services' lines: those of no tab when there is
// no other.
function pick(documents) {
  const own = documents.filter((d) => d.tab === 'services');
  return own.length ? own : documents.filter((d) => d.tab === 'other');
}

const harmless = 'No packet is lost: the data plane goes on forwarding while the service comes up anew.';

// restart is asked for when nothing was applied just before.
async function restart(me, service, sure) {
  const { ctx } = me;
  const called = `The ${service.title || service.name} service`;
  if (!sure && !(await ctx.confirm({ title: `Restart ${called.replace('The', 'the')}?`, body: harmless, confirm: 'Restart' }))) return;
  try {
    await ctx.api.post(`/services/${encodeURIComponent(service.name)}/restart`);
    ctx.toast(`${called} was restarted.`, { kind: 'ok' });
  } catch (failed) {
    ctx.toast(`${called} was not restarted: ${failed.message}`, { kind: 'bad' });
  }
}

async function askRestart(me, service, button) {
  button.disabled = true;
  await restart(me, service, false);
  button.disabled = false;
  button.focus();
}
