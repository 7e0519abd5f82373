// Diff compares texts line by line, and puts two people's changes of one text
// together. It shows nothing.

// A comparison that would take longer than this many edits says "all of it".
const MOST_EDITS = 1000;

// lines splits a text as the daemon does: the end of the last line begins none.
export function lines(text) {
  if (text === '') return [];
  const list = text.split('\n');
  if (list[list.length - 1] === '') list.pop();
  return list;
}

// compare gives the lines of both texts in order, as {op, old, new, text}: op is
// " " for a line that stays, "-" for one that goes, "+" for one that comes; old and
// new are its numbers, from 1.
export function compare(before, after) {
  const a = lines(before);
  const b = lines(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const list = [];
  for (let i = 0; i < start; i++) list.push({ op: ' ', old: i + 1, new: i + 1, text: a[i] });
  middle(list, a, b, start, a.length - end, b.length - end);
  for (let i = end; i > 0; i--) {
    list.push({ op: ' ', old: a.length - i + 1, new: b.length - i + 1, text: a[a.length - i] });
  }
  return list;
}

// middle adds the lines of a[start, toA) and b[start, toB).
function middle(list, a, b, start, toA, toB) {
  const left = a.slice(start, toA);
  const right = b.slice(start, toB);
  const steps = shortest(left, right) ?? [[0, left.length, 0, right.length]];
  let x = 0;
  let y = 0;
  for (const [fromA, untilA, fromB, untilB] of [...steps, [left.length, left.length, right.length, right.length]]) {
    for (; x < fromA; x++, y++) list.push({ op: ' ', old: start + x + 1, new: start + y + 1, text: left[x] });
    for (; x < untilA; x++) list.push({ op: '-', old: start + x + 1, text: left[x] });
    for (y = fromB; y < untilB; y++) list.push({ op: '+', new: start + y + 1, text: right[y] });
  }
}

// shortest finds the smallest set of changes that makes b of a, by Myers' greedy
// method: each is [fromA, untilA, fromB, untilB). null when there are too many.
function shortest(a, b) {
  const size = a.length + b.length;
  let ends = new Map([[1, 0]]);
  const trace = [];
  for (let d = 0; d <= Math.min(size, MOST_EDITS); d++) {
    trace.push(new Map(ends));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
      let x = down ? ends.get(k + 1) : ends.get(k - 1) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x++;
        y++;
      }
      ends.set(k, x);
      if (x >= a.length && y >= b.length) return walkBack(trace, a.length, b.length);
    }
  }
  return null;
}

// walkBack reads the way through the trace and joins neighbouring steps.
function walkBack(trace, x, y) {
  const steps = [];
  for (let d = trace.length - 1; d > 0; d--) {
    const ends = trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
    const fromX = down ? ends.get(k + 1) : ends.get(k - 1);
    const fromY = fromX - (down ? k + 1 : k - 1);
    const step = down ? [fromX, fromX, fromY, fromY + 1] : [fromX, fromX + 1, fromY, fromY];
    const next = steps[0];
    if (next && next[0] === step[1] && next[2] === step[3]) {
      next[0] = step[0];
      next[2] = step[2];
    } else {
      steps.unshift(step);
    }
    x = fromX;
    y = fromY;
  }
  return steps;
}

// changed counts the lines that come and those that go.
export function changed(list) {
  return {
    added: list.filter((l) => l.op === '+').length,
    removed: list.filter((l) => l.op === '-').length,
  };
}

// hunks keeps the changes with some lines around them. Between two of them stands
// {skipped: number of lines}.
export function hunks(list, around = 3) {
  const near = new Uint8Array(list.length);
  list.forEach((line, i) => {
    if (line.op !== ' ') near.fill(1, Math.max(0, i - around), i + around + 1);
  });
  const shown = [];
  let skipped = 0;
  list.forEach((line, i) => {
    if (!near[i]) {
      skipped++;
      return;
    }
    if (skipped) shown.push({ skipped });
    skipped = 0;
    shown.push(line);
  });
  if (skipped) shown.push({ skipped });
  return shown;
}

// edits gives the changes from one text to another as blocks of lines:
// {from, until} of the first, and what stands there instead.
function edits(before, after) {
  const blocks = [];
  let at = 0;
  let open = null;
  for (const line of compare(before, after)) {
    if (line.op === ' ') {
      open = null;
      at++;
      continue;
    }
    if (!open) {
      open = { from: at, until: at, text: [] };
      blocks.push(open);
    }
    if (line.op === '-') open.until = ++at;
    else open.text.push(line.text);
  }
  return blocks;
}

// merge puts the changes of both into one text. Where both changed the same lines
// in different ways, mine stands in the text and both are told in clashes:
// {line, base, mine, theirs}, line being the place in the new text, from 1.
export function merge(base, mine, theirs) {
  const original = lines(base);
  const ours = edits(base, mine);
  const others = edits(base, theirs);
  const out = [];
  const clashes = [];
  let at = 0;
  while (ours.length || others.length) {
    const group = take(ours, others);
    out.push(...original.slice(at, group.from));
    const a = rebuild(original, group, group.mine);
    const b = rebuild(original, group, group.theirs);
    if (group.mine.length && group.theirs.length && a.join('\n') !== b.join('\n')) {
      clashes.push({ line: out.length + 1, base: original.slice(group.from, group.until), mine: a, theirs: b });
    }
    out.push(...(group.mine.length ? a : b));
    at = group.until;
  }
  out.push(...original.slice(at));
  return { text: out.length ? out.join('\n') + '\n' : '', clashes };
}

// take removes the next blocks that touch each other from both lists.
function take(ours, others) {
  const group = { from: 0, until: -1, mine: [], theirs: [] };
  for (;;) {
    const ourTurn = ours.length && (!others.length || ours[0].from <= others[0].from);
    const list = ourTurn ? ours : others;
    if (!list.length || (group.until >= 0 && list[0].from > group.until)) return group;
    const block = list.shift();
    if (group.until < 0) group.from = block.from;
    group.until = Math.max(group.until, block.until);
    (ourTurn ? group.mine : group.theirs).push(block);
  }
}

// rebuild gives the lines of a group as one side has them.
function rebuild(original, group, blocks) {
  const out = [];
  let at = group.from;
  for (const block of blocks) {
    out.push(...original.slice(at, block.from), ...block.text);
    at = block.until;
  }
  out.push(...original.slice(at, group.until));
  return out;
}
