// Conflict is what happens when two people change the same thing: nothing is lost,
// both changes are shown, and whoever came second says how they go together.

import { h } from './dom.js';
import { compare, merge } from './diff.js';
import { diffTable, baseName } from './difftable.js';
import { button, review, sheet } from './review.js';
import { moment, plural } from './format.js';

// resolve settles a configuration that somebody else changed while it was edited
// here. It gives what the review gave after it, or null when nothing was decided.
export async function resolve(ctx, space, options) {
  for (;;) {
    const theirs = await ctx.api.get('/config');
    if (theirs.hash === space.base.hash) {
      await space.refresh();
    } else {
      const author = await authorOf(ctx, theirs.hash);
      const choice = await ask(ctx, threeWay(space, theirs.documents), {
        title: 'Somebody else changed the configuration',
        intro: `${author?.by || 'Somebody'} brought another configuration into force${author ? ` at ${moment(new Date(author.at))} (version ${author.id})` : ''}, after you began to edit. ` +
          'Your text is safe, and nothing of it was applied.',
        mine: 'Put mine on top of theirs…',
      });
      if (!choice) {
        space.refresh(); // so that the page says it, too
        return null;
      }
      space.rebase(theirs, choice.texts);
      if (choice.drop) return null;
    }
    const answer = await review(ctx, space, options);
    if (answer !== 'conflict') return answer;
  }
}

// resolveDraft settles a draft that somebody else saved meanwhile.
export async function resolveDraft(ctx, space) {
  await space.refresh();
  const draft = space.draft();
  if (!draft) return space.save();
  const choice = await ask(ctx, threeWay(space, draft.documents), {
    title: 'There is another draft',
    intro: `${draft.by || 'Somebody'} saved a draft at ${moment(new Date(draft.at))} that you have not opened. Your text is safe. There is one draft: yours would take its place.`,
    mine: 'Replace their draft with mine',
  });
  if (!choice) return null;
  if (choice.drop || choice.merged) space.takeAll([...choice.texts].map(([name, text]) => ({ name, text })));
  if (choice.drop) {
    space.opened = draft.hash;
    return null;
  }
  return space.save(draft.hash);
}

// authorOf finds who brought a configuration into force.
async function authorOf(ctx, hash) {
  try {
    const list = await ctx.api.get('/config/versions');
    return list.find((v) => v.hash === hash) ?? null;
  } catch {
    return null; // the conflict can be settled without knowing
  }
}

// threeWay compares each document that either changed: base, mine, theirs.
function threeWay(space, theirs) {
  const parts = [];
  for (const { name } of space.base.documents) {
    const base = space.original(name);
    const mine = space.text(name);
    const other = (theirs.find((d) => d.name === name)?.text ?? base).replaceAll('\r\n', '\n');
    if (mine === base && other === base) continue;
    parts.push({ name, base, mine, theirs: other, ...merge(base, mine, other) });
  }
  return parts;
}

// ask shows both changes and gives {texts, merged, drop}, or null.
async function ask(ctx, parts, { title, intro, mine }) {
  const dialog = sheet(title);
  const clashes = parts.flatMap((p) => p.clashes.map((c) => ({ ...c, name: p.name })));
  const done = h('p', { role: 'status', class: 'small muted' });
  dialog.body.append(h('p', {}, intro), h('p', {}, summary(clashes)), ...clashes.map(clash), ...parts.map(both), done);
  const texts = (key) => new Map(parts.map((p) => [p.name, p[key]]));
  let choice = null;
  const choose = (value) => () => {
    choice = value;
    dialog.close('chosen');
  };
  const onlyMine = new Map(parts.filter((p) => p.mine !== p.base).map((p) => [p.name, p.mine]));
  const merged = button(clashes.length ? 'Merge, with mine where both changed…' : 'Merge both…', 'primary',
    choose({ texts: texts('text'), merged: true }));
  dialog.buttons.append(
    button('Not now', '', () => dialog.close()),
    button('Copy mine', '', () => copy(parts, done)),
    button('Take theirs, drop mine…', '', async () => {
      const sure = await ctx.confirm({
        title: 'Drop your text?', body: 'What you typed is taken away, in this browser only. Copy it first if you may need it.',
        confirm: 'Drop mine', danger: true,
      });
      if (sure) choose({ texts: texts('theirs'), drop: true })();
    }),
    button(mine, '', choose({ texts: onlyMine })),
    merged);
  merged.focus();
  await dialog.closed;
  return choice;
}

function summary(clashes) {
  if (!clashes.length) return 'You changed different lines: both changes fit together. You see the result before it is applied.';
  return `${plural(clashes.length, 'place')} where both of you changed the same lines. You see the result before it is applied.`;
}

function clash(c) {
  const side = (title, list) => h('div', {}, h('h4', {}, title), h('pre', {}, list.length ? list.join('\n') : '(no line)'));
  return h('section', { class: 'clash' }, h('h3', {}, `Both changed: ${baseName(c.name)}, line ${c.line}`),
    h('div', { class: 'sides' }, side('Before', c.base), side('Mine', c.mine), side('Theirs', c.theirs)));
}

function both(p) {
  const mine = compare(p.base, p.mine);
  const theirs = compare(p.base, p.theirs);
  const side = (title, lines) => h('div', {}, h('h4', {}, title),
    lines.some((l) => l.op !== ' ') ? diffTable(lines, `${title} in ${p.name}`) : h('p', { class: 'muted' }, 'Nothing.'));
  return h('section', { class: 'three-way' }, h('h3', { class: 'mono' }, p.name),
    h('div', { class: 'sides' }, side('What I changed', mine), side('What they changed', theirs)));
}

async function copy(parts, done) {
  const text = parts.filter((p) => p.mine !== p.base).map((p) => `# ${p.name}\n${p.mine}`).join('\n');
  try {
    await navigator.clipboard.writeText(text);
    done.textContent = 'Your text is in the clipboard.';
  } catch {
    // Without TLS a browser gives no clipboard: the text is shown, selected, to be copied by hand.
    const area = h('textarea', { class: 'copy', readonly: true, 'aria-label': 'Your text, to be copied' });
    area.value = text;
    done.replaceChildren('This browser gives no access to the clipboard. Copy it from here: ', area);
    area.select();
  }
}

