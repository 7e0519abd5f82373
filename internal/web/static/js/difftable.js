// Difftable shows a comparison of lines as a table, and findings as a list. It
// fetches nothing.

import { h } from './dom.js';
import { changed, hunks } from './diff.js';
import { plural } from './format.js';
import { signOf } from './editor.js';

const MOST = 1500; // rows that anybody reads

// diffTable shows lines ({op, old, new, text}): what changes and a little around it.
export function diffTable(lines, caption) {
  const shown = hunks(lines);
  const rows = shown.slice(0, MOST).map(row);
  if (shown.length > MOST) rows.push(gap(`${plural(shown.length - MOST, 'more line')} not shown`));
  return h('div', { class: 'scroll diff-scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', { class: 'diff' },
      h('caption', { class: 'hide' }, caption),
      h('thead', { class: 'hide' }, h('tr', {},
        ['Line before', 'Line after', 'Change', 'Text'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, rows)));
}

const gap = (text) => h('tr', { class: 'diff-gap' }, h('td', { colspan: '4' }, text));

function row(line) {
  if (line.skipped) return gap(`${plural(line.skipped, 'line')} as before`);
  const kind = { '+': 'added', '-': 'removed' }[line.op];
  return h('tr', { class: kind ? `diff-${kind}` : null },
    h('td', { class: 'diff-no' }, line.old ? String(line.old) : ''),
    h('td', { class: 'diff-no' }, line.new ? String(line.new) : ''),
    h('td', { class: 'diff-op' }, { '+': '+', '-': '−' }[line.op] ?? '', kind && h('span', { class: 'hide' }, ` ${kind}`)),
    h('td', { class: 'diff-text' }, line.text === '' ? '\u00a0' : line.text));
}

// diffOf shows the comparison of one document below its name.
export function diffOf(name, lines, what = 'Changes') {
  const { added, removed } = changed(lines);
  return h('section', { class: 'diff-document' },
    h('h3', {}, h('span', { class: 'mono' }, name), ' ',
      h('span', { class: 'small muted' }, added || removed ? `${plural(added, 'line')} added, ${removed} removed` : 'no change')),
    added || removed ? diffTable(lines, `${what} of ${name}`) : null);
}

// findings lists diagnostics: a sign, a word, the place, what is wrong and what to do.
// jump(diagnostic) makes the place a button.
export function findings(diagnostics, jump) {
  const order = { error: 0, warning: 1 };
  const sorted = [...diagnostics].sort((a, b) => order[a.severity] - order[b.severity]);
  return h('ul', { class: 'findings' }, sorted.map((d) => finding(d, jump)));
}

function finding(d, jump) {
  const place = d.line ? `${baseName(d.source)}:${d.line}:${d.column}` : baseName(d.source ?? '');
  return h('li', { class: `finding finding-${d.severity}` },
    h('span', { class: 'finding-word' }, signOf(d.severity), d.severity),
    place && jump && d.line
      ? h('button', { type: 'button', class: 'finding-place mono', title: `Go to ${d.source}, line ${d.line}`, on: { click: () => jump(d) } }, place)
      : place && h('span', { class: 'mono' }, place),
    h('span', { class: 'finding-text' }, d.message, d.hint && h('span', { class: 'muted' }, ` — ${d.hint}`)));
}

// baseName is the last part of a path.
export const baseName = (path) => path.slice(path.lastIndexOf('/') + 1);
