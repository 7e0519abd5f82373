// widgets are the small parts that several pages share: the mark of a state, toasts
// and the dialog that asks before something is done.

import { attr, h, s, text } from './dom.js';

// A state is a word and a shape; colour only helps.
const shapes = {
  ok: 'M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 0 1 0-13Z', // disc
  bad: 'M8 .8 15.2 8 8 15.2.8 8Z', // diamond
  warn: 'M8 1.2 15.4 14.5H.6Z', // triangle
  unknown: 'M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11Z', // ring, drawn hollow
  plain: 'M2.5 6.5h11v3h-11Z', // bar
  accent: 'M3 1.5 14 8 3 14.5Z', // arrow
};

const tones = {
  up: 'ok', running: 'ok', announced: 'ok', down: 'bad', failed: 'bad', conflict: 'bad', unknown: 'unknown', unchecked: 'unknown',
  draining: 'warn', drained: 'warn', disabled: 'plain', off: 'plain', probing: 'unknown', 'not-applied': 'warn', active: 'accent',
  standby: 'plain', quiescent: 'plain', open: 'ok', ended: 'plain', old: 'warn',
};

// mark is the sign of a state: <span class="mark tone-…"><svg/>word</span>.
export function mark(word, tone = tones[word] ?? 'plain') {
  const node = h('span', { class: 'mark' }, shape(), h('span', { class: 'word' }));
  setMark(node, word, tone);
  return node;
}

function shape() {
  return s('svg', { class: 'shape', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, s('path'));
}

// setMark changes a mark where it differs.
export function setMark(node, word, tone = tones[word] ?? 'plain') {
  attr(node, 'class', `mark tone-${tone}`);
  attr(node.firstChild.firstChild, 'd', shapes[tone]);
  text(node.lastChild, word);
}

// shapePath is the outline of a tone's shape, in a box of 16 by 16.
export const shapePath = (tone) => shapes[tone];

// toneOf is the tone of a state's word.
export const toneOf = (word) => tones[word] ?? 'plain';

// toast shows a message for a while. Kinds: ok, bad, info. An error stays until it is closed.
export function toast(message, { kind = 'info', ms = kind === 'bad' ? 0 : 6000 } = {}) {
  const tone = { ok: 'ok', bad: 'bad', info: 'plain' }[kind] ?? 'plain';
  const close = () => node.remove();
  const node = h('div', { class: `toast toast-${kind}` },
    mark({ ok: 'Done', bad: 'Refused', info: 'Note' }[kind] ?? 'Note', tone),
    h('p', {}, message),
    h('button', { type: 'button', class: 'quiet', 'aria-label': 'Close this message', on: { click: close } }, '✕'));
  const all = document.getElementById('toasts');
  const same = [...all.children].find((t) => t.className === node.className && t.querySelector('p').textContent === message);
  same?.remove(); // said again, it is the newest
  all.append(node);
  if (ms) setTimeout(close, ms);
  return close;
}

// confirm asks before something is done and gives true or false. body is a text, a
// node, or a list of them; texts become paragraphs. Escape says no. The button that
// changes nothing has the focus first.
export function confirm({ title, body, confirm: yes = 'Do it', cancel = 'Cancel', danger = false }) {
  return new Promise((done) => {
    const before = document.activeElement;
    const no = h('button', { type: 'button', class: 'button', on: { click: () => dialog.close('no') } }, cancel);
    const go = h('button', {
      type: 'button', class: danger ? 'button danger' : 'button primary', on: { click: () => dialog.close('yes') },
    }, yes);
    const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title', 'aria-describedby': 'dialog-body' },
      h('h2', { id: 'dialog-title' }, title),
      h('div', { id: 'dialog-body', class: 'dialog-body' }, paragraphs(body)),
      h('div', { class: 'dialog-buttons' }, no, go));
    dialog.addEventListener('close', () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      done(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}

function paragraphs(body) {
  return [body].flat(3).filter(Boolean).map((part) => (typeof part === 'string' ? h('p', {}, part) : part));
}

// problemText is what to tell of an error of the API.
export function problemText(failed) {
  return failed?.message || String(failed);
}
