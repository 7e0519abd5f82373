// Doctor: what will bite, before it does. It shows what the doctor said last, and lets
// it look again.

import { h, text } from '../dom.js';
import { day, clock, instant, plural, span } from '../format.js';
import { mark, problemText } from '../widgets.js';

export const title = 'Doctor';

export function mount(root, ctx) {
  const total = h('p', { class: 'muted', role: 'status' }, 'asking the daemon …');
  const wrong = h('p', { class: 'said refusal', role: 'alert', hidden: true });
  const look = h('button', { type: 'button', class: 'button', disabled: !ctx.may('operator'), on: { click: examine } }, 'Look now');
  const found = h('section', { class: 'card', 'aria-label': 'Findings', hidden: true });
  const missed = h('section', { class: 'card unseen', 'aria-label': 'Not looked at', hidden: true });
  root.append(h('div', { class: 'head' }, h('h1', {}, 'Doctor'), total, h('span', { class: 'grow' }), look), wrong, found, missed);
  if (!ctx.may('operator')) look.title = 'This needs the role operator.';
  let left = false;

  async function ask(method) {
    wrong.hidden = true;
    try {
      show(await method());
    } catch (failed) {
      if (left) return;
      if (failed.status === 404) {
        text(total, 'Nobody has looked since the configuration came into force.');
        return;
      }
      wrong.hidden = false;
      text(wrong, problemText(failed));
      text(total, '');
    }
  }

  async function examine() {
    look.disabled = true;
    text(total, 'looking at the servers and this machine; it takes up to 10 seconds …');
    await ask(() => ctx.api.post('/doctor'));
    look.disabled = !ctx.may('operator');
  }

  function show(d) {
    if (left) return;
    const at = instant(d.at);
    text(total, [d.findings.length ? plural(d.findings.length, 'finding') : 'no findings', d.not_looked_at.length && `${plural(d.not_looked_at.length, 'thing')} not looked at`,
      `looked ${day(at)} ${clock(at)}, for ${span(d.took_ns)}`].filter(Boolean).join('; '));
    found.hidden = !d.findings.length;
    found.replaceChildren(...d.findings.map(finding));
    missed.hidden = !d.not_looked_at.length;
    missed.replaceChildren(h('h2', {}, 'Not looked at'), h('ul', {}, d.not_looked_at.map((u) => h('li', {}, `${u.what}: ${u.because}`))));
  }

  ask(() => ctx.api.get('/doctor'));
  return () => {
    left = true;
  };
}

function finding(f) {
  const where = [f.director, f.server].filter(Boolean).join('/') || 'this machine';
  return h('article', { class: 'finding' },
    h('h2', {}, mark(f.kind, 'bad'), ' ', where),
    h('p', {}, f.what),
    h('p', { class: 'muted' }, f.why),
    h('p', {}, 'To mend it: ', h('code', {}, f.do)));
}
