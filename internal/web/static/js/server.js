// server is the panel of one server: what is desired, applied and observed of it, its
// checks over time, and the orders.

import { attr, h, text } from './dom.js';
import { age, bits, clock, count, instant, moment, packets, span } from './format.js';
import { order, possible } from './orders.js';
import { latencyPlot, sparkline } from './plot.js';
import { address, applied, copyText, desired, healthOf, stepText, under } from './state.js';
import { mark, setMark } from './widgets.js';

const again = 5000; // ms after which the results of checks are asked for again

// createServer returns {node, open, draw, shows, focus, stop}. closed(key) is told
// when the panel was closed.
export function createServer(ctx, closed) {
  let of = null; // {director, server}
  let asked = 0;
  let shown = '';
  const name = h('h2', { tabindex: -1 });
  const want = mark('');
  const have = mark('');
  const seen = mark('');
  const facts = new Map();
  const rows = h('dl', { class: 'panel-facts' });
  const buttons = h('div', { class: 'panel-orders' });
  const hint = h('p', { class: 'small muted', hidden: true });
  const step = h('p', { class: 'said step', role: 'status', hidden: true });
  const plot = latencyPlot();
  const tests = h('ul', { class: 'tests small', 'aria-label': 'Its checks, one by one' });
  const failures = h('ol', { class: 'failures small' });
  const state = (label, sign) => h('div', {}, h('span', { class: 'small muted' }, label), sign);
  const node = h('aside', { class: 'card panel', 'aria-label': 'Server', hidden: true, on: { keydown: (e) => e.key === 'Escape' && close() } },
    h('header', {}, name, h('button', { type: 'button', class: 'quiet', 'aria-label': 'Close', on: { click: close } }, '✕')),
    h('div', { class: 'body panel-body' },
      h('div', { class: 'three', role: 'status' }, state('Desired', want), state('Applied', have), state('Observed', seen)),
      step, buttons, hint, rows, h('h3', {}, 'Latency of its checks'), plot.node, tests, failures));

  function close() {
    const key = of && `${of.director}/${of.server}`;
    of = null;
    node.hidden = true;
    node.parentElement?.classList.remove('opened');
    closed(key);
  }

  function fact(label, value) {
    let pair = facts.get(label);
    if (!pair) {
      pair = h('div', {}, h('dt', {}, label), h('dd', {}));
      facts.set(label, pair);
      rows.append(pair);
    }
    pair.hidden = !value;
    text(pair.lastChild, value ?? '');
  }

  async function refresh() {
    if (!of || document.hidden || Date.now() - asked < again) return;
    asked = Date.now();
    const { director, server } = of;
    try {
      const probes = await ctx.api.get(`/servers/${encodeURIComponent(director)}/${encodeURIComponent(server)}/history`);
      if (of?.director !== director || of?.server !== server) return;
      plot.draw(probes);
      tests.replaceChildren(...perTest(probes).map(testLine));
      failures.replaceChildren(...probes.filter((p) => !p.ok).slice(-5).reverse().map((p) => h('li', {}, h('time', { datetime: p.at }, clock(instant(p.at))), ` ${p.error}`)));
    } catch {
      // The banner says what is wrong; the last picture stays.
    }
  }

  function drawOrders(d, s) {
    const may = ctx.may('operator');
    const wanted = may ? possible(d, s) : [];
    const now = JSON.stringify([of, wanted]);
    if (now === shown) return;
    shown = now;
    const had = buttons.contains(document.activeElement) ? document.activeElement.dataset.verb : null;
    buttons.replaceChildren(...wanted.map(({ verb, label }) => h('button', {
      type: 'button', class: verb === 'switch' || verb === 'enable' ? 'button primary' : 'button', 'data-verb': verb,
      on: { click: () => of && order(ctx, verb, of.director, of.server) },
    }, label)));
    buttons.querySelector(`[data-verb="${had}"]`)?.focus();
    hint.hidden = may;
    text(hint, 'Your role sees, and gives no orders: ask an operator.');
  }

  return {
    node,
    shows: (key) => of !== null && key === `${of.director}/${of.server}`,
    focus: () => name.focus(),
    stop() {
      of = null;
      plot.close();
    },
    open(director, server) {
      of = { director, server };
      asked = 0;
      plot.draw([]);
      tests.replaceChildren();
      failures.replaceChildren();
      text(name, `${director}/${server}`);
      node.hidden = false;
      node.parentElement?.classList.add('opened');
      refresh();
    },
    draw(value) {
      if (!of) return;
      const d = value.directors?.[of.director];
      const s = d?.servers?.[of.server] && { name: of.server, ...d.servers[of.server] };
      if (!s) {
        setMark(seen, 'no longer in the configuration', 'warn');
        return;
      }
      fill(value, d, s);
      refresh();
    },
  };

  function fill(value, d, s) {
    const wanted = desired(d, s);
    const does = applied(d, s, value.blind);
    setMark(want, wanted);
    setMark(have, does, value.blind ? 'unknown' : does === 'active' ? 'accent' : does === 'on hold' || wanted === 'active' ? 'warn' : 'plain');
    setMark(seen, healthOf(s));
    step.hidden = !under(d);
    if (under(d)) text(step, `A switch is under way: ${stepText(d)}.`);
    drawOrders(d, s);
    const since = instant(s.since);
    const probe = instant(s.last_probe);
    const rate = (field) => ctx.live.rate((v) => v.directors?.[of.director]?.servers?.[of.server]?.total?.[field]);
    fact('Address', address(s));
    fact('MAC', s.mac || 'not known: nothing can be forwarded to it');
    fact('Weight', s.sorry ? 'sorry server: used when no regular server is up' : String(s.weight));
    fact('Health since', since && `${moment(since)} (${age((Date.parse(value.at) - since) / 1000)})`);
    fact('Why', s.health === 'up' ? '' : s.why);
    fact('Not ready', s.not_ready);
    fact('Copy', copyText(s, value.at));
    fact('While active', s.advisory && s.health === 'unchecked' ? `its probes: ${s.advisory}` : '');
    fact('Checked at', s.health === 'unchecked' ? '' : ['its own address', s.checked_vips].filter(Boolean).join(' and ') + (s.vip_note ? `; ${s.vip_note}` : ''));
    fact('Last check', probe && `${clock(probe)}, ${span(s.latency_ns)}`);
    fact('Connections', count(s.connections));
    fact('Rate', `${packets(rate('packets'))}, ${bits(rate('bytes'))}`);
    attr(node, 'data-server', s.name);
  }
}

// perTest is what the probes found, by check and address, as {check, at, results}.
function perTest(probes) {
  const all = new Map();
  for (const probe of probes) {
    for (const { check, at, ...result } of probe.tests ?? []) {
      const key = `${check} ${at}`;
      if (!all.has(key)) all.set(key, { check, at, results: [] });
      all.get(key).results.push({ ...result, at: probe.at });
    }
  }
  return [...all.values()];
}

function testLine({ check, at, results }) {
  const last = results.at(-1);
  const failed = results.filter((r) => !r.ok).length;
  const line = sparkline();
  line.draw(results);
  return h('li', {}, line.node, h('span', {}, h('strong', {}, check), ` at ${at}: `,
    last.ok ? span(last.latency_ns) : h('span', { class: 'tone-bad' }, `◆ ${last.error}`),
    h('span', { class: 'muted' }, ` · ${results.length - failed} of ${results.length} passed`)));
}
