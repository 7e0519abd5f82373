// Editor is a text box with line numbers, colours and marks. What is typed in is a
// real textarea, so that undo, paste, spelling of screen readers and everything
// else of the browser works; a coloured copy of the lines that are seen lies under
// it. It knows nothing of the daemon.

import { h, s, text as setText, attr, later } from './dom.js';
import { tokens, guarded } from './highlight.js';

const SPARE = 4; // lines painted beyond the edges
const LONG = 2000; // characters of a line that are coloured

// createEditor makes one. Options: label, describedBy (an id), readOnly, onInput(text).
// It gives {node, area, text(), set(text), mark(diagnostics), go(line, column, text), close()}.
export function createEditor({ label, describedBy, readOnly = false, onInput = () => {} }) {
  const view = build({ label, describedBy, readOnly });
  const state = { lines: [''], marks: new Map(), painted: new Map(), height: 20, pad: 8 };
  const paint = later(() => draw(view, state));
  const place = later(() => tellPlace(view, state));
  const watcher = new ResizeObserver(() => {
    measure(view, state);
    paint();
  });
  watcher.observe(view.area);
  view.area.addEventListener('scroll', () => draw(view, state));
  view.area.addEventListener('input', () => {
    const lines = view.area.value.split('\n');
    state.marks = shift(state.marks, state.lines, lines);
    state.lines = lines;
    paint();
    place();
    onInput(view.area.value);
  });
  const moved = () => {
    if (document.activeElement === view.area) place();
  };
  document.addEventListener('selectionchange', moved);
  return {
    node: view.node,
    area: view.area,
    text: () => view.area.value,
    set(text) {
      if (view.area.value === text) return;
      view.area.value = text;
      state.lines = view.area.value.split('\n');
      state.marks = new Map();
      paint();
      place();
    },
    mark(diagnostics) {
      state.marks = arrange(diagnostics);
      attr(view.area, 'aria-invalid', diagnostics.some((d) => d.severity === 'error') ? 'true' : null);
      paint();
      place();
    },
    go: (line, column, text) => go(view, state, line, column, text),
    close() {
      watcher.disconnect();
      document.removeEventListener('selectionchange', moved);
      paint.cancel();
      place.cancel();
    },
  };
}

function build({ label, describedBy, readOnly }) {
  const numbers = h('div', { class: 'ed-numbers' });
  const paper = h('div', { class: 'ed-paper' });
  const area = h('textarea', {
    class: 'ed-text',
    'aria-label': label,
    'aria-describedby': describedBy,
    wrap: 'off',
    spellcheck: 'false',
    autocomplete: 'off',
    autocapitalize: 'off',
    autocorrect: 'off',
    readonly: readOnly,
  });
  const where = h('span', { class: 'ed-where' });
  const said = h('span', { class: 'ed-said' });
  const node = h('div', { class: readOnly ? 'ed ed-fixed' : 'ed' },
    h('div', { class: 'ed-frame' },
      h('div', { class: 'ed-gutter', 'aria-hidden': 'true' }, numbers),
      h('div', { class: 'ed-pane' }, h('div', { class: 'ed-under', 'aria-hidden': 'true' }, paper), area)),
    h('div', { class: 'ed-foot' }, where, said));
  return { node, area, numbers, paper, where, said };
}

// measure takes the height of a line and the padding from the style.
function measure(view, state) {
  const style = getComputedStyle(view.area);
  state.height = parseFloat(style.lineHeight) || 20;
  state.pad = parseFloat(style.paddingTop) || 0;
  state.painted.clear();
}

// draw paints the lines that are seen, and keeps those that did not change.
function draw(view, state) {
  const { area, paper, numbers } = view;
  const first = Math.max(0, Math.floor((area.scrollTop - state.pad) / state.height) - SPARE);
  const count = Math.ceil(area.clientHeight / state.height) + 2 * SPARE;
  const last = Math.min(state.lines.length, first + count);
  const painted = new Map();
  for (let i = first; i < last; i++) painted.set(i, line(state, i));
  const shown = [...painted.values()];
  replace(paper, shown.map((l) => l.node));
  replace(numbers, shown.map((l) => l.number));
  state.painted = painted;
  const top = state.pad + first * state.height - area.scrollTop;
  paper.style.transform = `translate(${-area.scrollLeft}px, ${top}px)`;
  numbers.style.transform = `translateY(${top}px)`;
  const digits = Math.max(2, String(state.lines.length).length);
  numbers.parentNode.style.setProperty('--digits', digits);
}

function replace(parent, nodes) {
  const had = parent.childNodes;
  if (had.length === nodes.length && nodes.every((n, i) => n === had[i])) return;
  parent.replaceChildren(...nodes);
}

// line gives the nodes of a line: those painted before when nothing changed.
function line(state, i) {
  const text = state.lines[i];
  const marks = state.marks.get(i + 1);
  const had = state.painted.get(i);
  if (had && had.text === text && had.marks === marks) return had;
  return { text, marks, node: h('div', { class: 'ed-line' }, pieces(text, marks)), number: number(i + 1, text, marks) };
}

function number(n, text, marks) {
  const worst = marks && (marks.some((m) => m.severity === 'error') ? 'error' : 'warning');
  const sign = worst ? signOf(worst) : guarded(text) ? signOf('lock') : null;
  const title = marks ? marks.map((m) => m.message).join('\n')
    : sign ? 'This line runs a programme. It cannot be added or changed here.' : null;
  return h('div', { class: worst ? `ed-number ed-has-${worst}` : 'ed-number', title }, sign, String(n));
}

// signOf is the shape of an error, a warning or a lock: never colour alone.
export function signOf(kind) {
  const shapes = {
    error: [s('circle', { cx: 8, cy: 8, r: 7 }), s('path', { class: 'sign-cut', d: 'M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6' })],
    warning: [s('path', { d: 'M8 1 15.5 14.5H.5z' }), s('path', { class: 'sign-cut', d: 'M8 6v4M8 11.6v1.2' })],
    lock: [s('path', { d: 'M3 7h10v8H3z' }), s('path', { class: 'sign-line', d: 'M5 7V5a3 3 0 0 1 6 0v2' })],
  };
  return s('svg', { class: `sign sign-${kind}`, viewBox: '0 0 16 16', width: 12, height: 12, 'aria-hidden': 'true' }, shapes[kind]);
}

// pieces gives the coloured spans of a line; what is marked is underlined.
function pieces(text, marks) {
  const spans = [];
  let at = 0;
  const cuts = (marks ?? []).filter((m) => m.column > 0).map((m) => extent(text, m));
  const list = text.length > LONG ? [...tokens(text.slice(0, LONG)), ['plain', text.slice(LONG)]] : tokens(text);
  for (const [kind, piece] of list) {
    for (const [part, severity] of split(piece, at, cuts)) {
      spans.push(severity ? h('span', { class: `t-${kind} ed-${severity}`, text: part })
        : kind === 'blank' || kind === 'plain' ? part : h('span', { class: `t-${kind}`, text: part }));
    }
    at += piece.length;
  }
  const beyond = cuts.find((c) => c.from >= text.length);
  if (beyond) spans.push(h('span', { class: `ed-${beyond.severity}`, text: ' ' }));
  return spans;
}

// extent turns a column, in characters, into places of the line's string.
function extent(text, mark) {
  const characters = [...text];
  const from = characters.slice(0, mark.column - 1).join('').length;
  const known = mark.text && text.startsWith(mark.text, from);
  return { from, to: from + Math.max(1, known ? mark.text.length : 1), severity: mark.severity };
}

// split cuts a piece where an underline begins or ends.
function split(piece, at, cuts) {
  const places = new Set([0, piece.length]);
  for (const cut of cuts) {
    for (const p of [cut.from - at, cut.to - at]) if (p > 0 && p < piece.length) places.add(p);
  }
  const sorted = [...places].sort((a, b) => a - b);
  return sorted.slice(1).map((until, i) => {
    const from = sorted[i];
    const over = cuts.filter((c) => c.from < at + until && c.to > at + from);
    const severity = over.some((c) => c.severity === 'error') ? 'error' : over[0]?.severity;
    return [piece.slice(from, until), severity];
  });
}

function arrange(diagnostics) {
  const marks = new Map();
  for (const d of diagnostics) {
    const line = Math.max(1, d.line);
    marks.set(line, [...(marks.get(line) ?? []), d]);
  }
  return marks;
}

// shift moves marks with the lines they stand at, until the daemon has said more.
// A line that was changed keeps its mark without the underline.
function shift(marks, before, after) {
  if (!marks.size) return marks;
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  const grown = after.length - before.length;
  let end = before.length;
  while (end > start && end + grown > start && before[end - 1] === after[end + grown - 1]) end--;
  const moved = new Map();
  for (const [line, list] of marks) {
    if (line <= start) moved.set(line, list);
    else if (line > end) moved.set(line + grown, list);
    else if (grown === 0) moved.set(line, list.map((m) => ({ ...m, column: 0 })));
  }
  return moved;
}

// tellPlace shows where the caret is, and what is to be said of its line.
function tellPlace(view, state) {
  const before = view.area.value.slice(0, view.area.selectionStart);
  const line = before.split('\n').length;
  const column = [...before.slice(before.lastIndexOf('\n') + 1)].length + 1;
  setText(view.where, `line ${line}, column ${column}`);
  const marks = state.marks.get(line) ?? [];
  setText(view.said, marks.map((m) => (m.hint ? `${m.message} — ${m.hint}` : m.message)).join(' · '));
  view.said.className = marks.some((m) => m.severity === 'error') ? 'ed-said ed-said-error' : 'ed-said';
}

// go selects a place, shows it and puts the caret there.
function go(view, state, line, column = 1, text = '') {
  const at = Math.min(Math.max(1, line), state.lines.length) - 1;
  let start = 0;
  for (let i = 0; i < at; i++) start += state.lines[i].length + 1;
  const found = extent(state.lines[at], { column: Math.max(1, column), text });
  const from = start + Math.min(found.from, state.lines[at].length);
  const to = start + Math.min(found.to, state.lines[at].length);
  measure(view, state);
  view.area.focus({ preventScroll: true });
  view.area.setSelectionRange(from, to);
  view.area.scrollTop = Math.max(0, state.pad + (at + 0.5) * state.height - view.area.clientHeight / 2);
  const wide = parseFloat(getComputedStyle(view.area).fontSize) * 0.6; // of a character, nearly
  view.area.scrollLeft = Math.max(0, found.from * wide - view.area.clientWidth / 2);
  view.node.scrollIntoView({ block: 'nearest' });
  draw(view, state);
}
