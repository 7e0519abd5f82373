// list is a table that draws only the rows that are seen, however many there are.
// It is told the items; it keeps none of their meaning.

import { attr, h, later, text } from './dom.js';

const spare = 6; // rows drawn beyond each edge

// createList returns {node, set(items), refresh(), reveal(key)}.
//   caption   what the table holds, for who cannot see it
//   columns   [{name, label, class, sort}]: sort true makes the head a button
//   key       (item) => a text that stays the item's own
//   make      () => a <tr> with its cells
//   fill      (row, item): brings a row up to date; it touches only what changed
//   onSort    (name) is told when a head is pressed
//   empty     what to say when there is no item; say changes it
export function createList({ caption, columns, key, make, fill, onSort, empty }) {
  const top = h('tr', { class: 'space', 'aria-hidden': 'true' }, h('td', { colspan: columns.length }));
  const bottom = h('tr', { class: 'space', 'aria-hidden': 'true' }, h('td', { colspan: columns.length }));
  const body = h('tbody', {}, top, bottom);
  const heads = new Map(columns.map((c) => [c.name, head(c, onSort)]));
  const table = h('table', { class: 'list' }, h('caption', { class: 'hide' }, caption), h('thead', {}, h('tr', {}, ...heads.values())), body);
  const none = h('p', { class: 'empty', hidden: true }, empty);
  const node = h('div', { class: 'listbox', tabindex: 0, role: 'region', 'aria-label': caption }, table, none);
  const shown = new Map(); // key to row
  const pool = [];
  let items = [];
  let height = 0; // of a row; measured

  const draw = later(drawNow);
  node.addEventListener('scroll', draw, { passive: true });
  const sizes = new ResizeObserver(() => {
    height = 0;
    draw();
  });
  sizes.observe(node);

  function drawNow() {
    if (!node.isConnected) return;
    none.hidden = items.length > 0;
    measure();
    const first = Math.max(0, Math.floor(node.scrollTop / height) - spare);
    const last = Math.min(items.length, Math.ceil((node.scrollTop + node.clientHeight) / height) + spare);
    const wanted = items.slice(first, last);
    const keys = new Set(wanted.map(key));
    for (const [k, row] of shown) {
      if (keys.has(k)) continue;
      shown.delete(k);
      row.remove();
      pool.push(row);
    }
    let after = top;
    wanted.forEach((item, i) => {
      const row = rowOf(key(item));
      if (after.nextSibling !== row) after.after(row);
      after = row;
      attr(row, 'aria-rowindex', first + i + 2);
      fill(row, item);
    });
    space(top, first * height);
    space(bottom, (items.length - last) * height);
    attr(table, 'aria-rowcount', items.length + 1);
  }

  // A row's height is that of the style sheet, which differs with the screen.
  function measure() {
    if (height || items.length === 0) {
      height ||= 40;
      return;
    }
    const k = key(items[0]);
    const row = rowOf(k);
    if (!row.isConnected) top.after(row);
    fill(row, items[0]);
    height = row.getBoundingClientRect().height || 40;
  }

  function rowOf(k) {
    let row = shown.get(k);
    if (!row) {
      row = pool.pop() ?? make();
      shown.set(k, row);
    }
    return row;
  }

  return {
    node,
    set(next) {
      items = next;
      draw();
    },
    say: (...words) => none.replaceChildren(...words),
    refresh: draw,
    // visible are the items whose rows are drawn.
    visible: () => items.filter((item) => shown.has(key(item))),
    top: () => { node.scrollTop = 0; },
    sorted(name, descending) {
      for (const [n, th] of heads) attr(th, 'aria-sort', n !== name ? null : descending ? 'descending' : 'ascending');
    },
    close() {
      sizes.disconnect();
      draw.cancel();
    },
  };
}

function head({ name, label, class: cls, sort, hint }, onSort) {
  const th = h('th', { scope: 'col', class: cls, title: hint });
  if (sort) th.append(h('button', { type: 'button', class: 'sort', on: { click: () => onSort(name) } }, label));
  else text(th, label);
  return th;
}

function space(row, px) {
  const cell = row.firstChild;
  const wanted = `${px}px`;
  if (cell.style.height !== wanted) cell.style.height = wanted;
  row.hidden = px === 0;
}
