// Desk is where documents are edited on a page: the notices, the editor, what the
// daemon says of the text, and the buttons. It shows a workspace and keeps nothing
// of its own but which document is open.

import { h, text as setText } from './dom.js';
import { setMark, mark } from './widgets.js';
import { plural } from './format.js';
import { createEditor } from './editor.js';
import { baseName, findings } from './difftable.js';
import { review } from './review.js';
import { resolve, resolveDraft } from './conflict.js';
import { showVersions } from './versions.js';
import { showNotices } from './notices.js';
import { guarded } from './highlight.js';

const pages = { flow: '/flow', l4: '/l4', services: '/services' };
const MOST = 100; // findings of a kind that anybody reads
let desks = 0; // for names that are unlike on one page

// createDesk puts one at the end of place. Options: pick(documents) gives those to edit here, placeholder,
// apply ({label, title, verb, always, after(answer)}). It gives {ready, close()}.
export function createDesk(place, ctx, space, options) {
  const id = `desk-${++desks}`;
  const view = build(id, space, options.apply);
  const me = { ctx, space, options, view, open: '', editor: null, busy: false };
  view.save.addEventListener('click', () => save(me));
  view.apply.addEventListener('click', () => apply(me));
  view.revert.addEventListener('click', () => revert(me));
  view.history.addEventListener('click', () => history(me));
  view.node.addEventListener('keydown', (event) => keys(me, event));
  for (const button of [view.save, view.apply, view.revert, view.history]) button.disabled = true; // until there is something
  place.append(view.node); // before anything is shown: only what is on the page takes the focus
  const leave = space.subscribe((what) => show(me, what));
  const back = () => { if (document.visibilityState === 'visible') space.refresh(); };
  document.addEventListener('visibilitychange', back);
  const ready = space.base ? space.refresh().then(() => show(me, 'base')) : space.load();
  ready.catch((failed) => unreachable(me, failed));
  if (space.base) show(me, 'base');
  return {
    ready,
    close() {
      leave();
      document.removeEventListener('visibilitychange', back);
      me.editor?.close();
    },
  };
}

// unreachable says that there is nothing to edit yet, and tries again when asked to.
function unreachable(me, failed) {
  const again = h('button', { type: 'button', class: 'button', on: { click: () => {
    me.view.notices.replaceChildren();
    me.space.load().catch((more) => unreachable(me, more));
  } } }, 'Try again');
  me.view.notices.replaceChildren(h('div', { class: 'notice-line notice-bad', role: 'alert' }, h('p', {}, failed.message), again));
}

function build(id, space, applied) {
  const control = (label, kind, props) => h('button', { type: 'button', class: `button ${kind}`, ...props }, label);
  const view = {
    id,
    notices: h('div', { class: 'notices' }),
    files: h('div', { class: 'files', role: 'group', 'aria-label': 'Files' }),
    state: mark('', 'plain'),
    place: h('div', { class: 'ed-place' }),
    hint: h('p', { class: 'small muted' }),
    verdict: h('p', { id: `${id}-said`, class: 'verdict', role: 'status' }),
    checking: h('span', { class: 'checking small muted', 'aria-hidden': 'true', hidden: true }, 'Checking …'),
    problems: h('div', { class: 'problems' }),
    save: control('Save', '', { title: 'Keep the text on the director. It does not come into force (Ctrl+S)' }),
    apply: control(applied.label, 'primary', { title: 'See what changes, then bring it into force (Ctrl+Enter)' }),
    revert: control('Undo all', '', { title: 'Go back to what the director has' }),
    history: control('History', ''),
  };
  for (const button of [view.save, view.apply, view.revert]) button.hidden = !space.editable;
  view.history.hidden = !space.editable;
  if (space.role === 'operator') {
    view.apply.hidden = false;
    setText(view.apply, 'Show what the draft changes');
  }
  view.node = h('section', { class: 'card desk' },
    h('header', {}, view.files, h('span', { class: 'state', role: 'status' }, view.state),
      h('div', { class: 'desk-buttons' }, view.history, view.revert, view.save, view.apply)),
    view.notices, view.place,
    h('div', { class: 'desk-foot' }, h('div', { class: 'verdict-line' }, view.verdict, view.checking), view.problems, view.hint));
  return view;
}

// show draws what changed: 'base' all of it, 'text' what was typed, 'checked' what
// the daemon said, 'draft' what is kept on the director.
function show(me, what) {
  if (!me.space.base) return;
  if (what === 'base') openDocument(me);
  if (what !== 'text') showFound(me);
  if (what === 'text') setMarkOfCheck(me);
  showState(me);
  showFiles(me);
  if (what !== 'checked') showNotices(me, { openDraft: () => openDraft(me), discard: () => discard(me), settle: () => settle(me), load: () => reload(me), review: () => showDraft(me) });
}

const here = (me) => me.options.pick(me.space.base.documents);

// openDocument puts the document that is chosen, or that something points at, into
// the editor.
function openDocument(me) {
  const docs = here(me);
  const { target } = me.space;
  const wanted = docs.find((d) => d.name === target?.source) ?? docs.find((d) => d.name === me.open)
    ?? docs.find((d) => d.name === me.options.first) ?? docs[0];
  if (!wanted) {
    me.view.place.replaceChildren(h('p', { class: 'empty' }, 'The director has no file to edit here.'));
    return;
  }
  if (wanted.name !== me.open || !me.editor) {
    me.editor?.close();
    me.open = wanted.name;
    me.editor = createEditor({
      label: `Text of ${baseName(wanted.name)}`,
      describedBy: me.view.verdict.id,
      readOnly: !me.space.editable,
      onInput: (text) => me.space.edit(me.open, text),
    });
    me.editor.area.placeholder = me.options.placeholder ?? '';
    me.view.place.replaceChildren(me.editor.node);
  }
  me.editor.set(me.space.text(me.open));
  if (target?.source === me.open) {
    me.space.target = null;
    me.editor.go(target.line, target.column, target.text);
  }
}

// jump goes to a finding: in this editor, or on the page of its document.
function jump(me, d) {
  const found = me.space.base.documents.find((doc) => doc.name === d.source);
  if (!found) return;
  me.space.target = d;
  if (here(me).some((doc) => doc.name === d.source)) openDocument(me);
  else me.ctx.navigate(pages[found.tab] ?? '/flow');
  showFiles(me);
}

function showFound(me) {
  const { space, view } = me;
  const all = space.diagnostics();
  me.editor?.mark(all.filter((d) => d.source === me.open));
  const first = (d) => (d.source === me.open ? 0 : 1);
  const sorted = [...all].sort((a, b) => first(a) - first(b));
  view.problems.replaceChildren(...['error', 'warning'].map((severity) => listOf(me, sorted, severity)).filter(Boolean));
  setMarkOfCheck(me);
  const texts = space.names().some((name) => space.text(name).split('\n').some(guarded));
  setText(view.hint, !space.editable ? '' : texts
    ? 'Lines with a lock (hook, command) run programmes as root. They cannot be added or changed here, only on the director itself; they go with their director when it is removed.'
    : 'Hook and command lines run programmes as root: they are written on the director itself, not here.');
}

// listOf lists errors or warnings: those of the open document come first.
function listOf(me, sorted, severity) {
  const list = sorted.filter((d) => (d.severity === 'error') === (severity === 'error'));
  if (!list.length) return null;
  const rest = list.length - MOST;
  return h('section', { 'aria-label': severity === 'error' ? 'Errors' : 'Warnings' },
    findings(list.slice(0, MOST), (d) => jump(me, d)),
    rest > 0 ? h('p', { class: 'small muted' }, `and ${plural(rest, `more ${severity}`)}`) : null);
}

function setMarkOfCheck({ space, view }) {
  view.checking.hidden = !space.checking;
  if (space.checking) return undefined; // what was said stays until there is more to say: it is read aloud
  if (space.found.failed) return setText(view.verdict, `The text could not be checked: ${space.found.failed}`);
  const all = space.diagnostics();
  const errors = all.filter((d) => d.severity === 'error').length;
  const warnings = all.length - errors;
  const parts = [plural(errors, 'error'), plural(warnings, 'warning')];
  if (!all.length) return setText(view.verdict, 'Nothing is wrong with the configuration.');
  return setText(view.verdict, errors ? `${parts[0]}${warnings ? `, ${parts[1]}` : ''}. With an error it can be saved, not applied.` : `No error, ${parts[1]}.`);
}

function showState(me) {
  const { space, view } = me;
  if (!space.base) return;
  const changed = space.changed().map(baseName).join(', ');
  const draft = space.draft();
  const outside = !space.newer && space.base.running !== space.base.hash;
  if (!space.editable) setMark(view.state, 'Read only', 'plain');
  else if (space.unsaved()) setMark(view.state, `Edited, not saved: ${changed}`, 'warn');
  else if (changed) setMark(view.state, `Saved, not applied: ${changed}`, 'accent');
  else if (outside) setMark(view.state, 'The files are not in force', 'warn');
  else setMark(view.state, `In force, generation ${space.base.generation}`, 'ok');
  if (space.role === 'operator') {
    view.apply.disabled = !draft;
    return;
  }
  view.history.disabled = me.busy;
  view.save.disabled = me.busy || !space.unsaved();
  view.revert.disabled = me.busy || !changed;
  view.apply.disabled = me.busy || !(changed || me.options.apply.always);
}

function showFiles(me) {
  const docs = here(me);
  const label = (d) => [baseName(d.name), me.space.texts.has(d.name) && h('span', { class: 'dot', title: 'changed' }, ' •', h('span', { class: 'hide' }, ' changed'))];
  const key = JSON.stringify([me.open, docs.map((d) => [d.name, me.space.texts.has(d.name)])]);
  if (me.view.files.dataset.key === key) return;
  me.view.files.dataset.key = key;
  if (docs.length < 2) {
    me.view.files.replaceChildren(...docs.map((d) => h('h2', { class: 'mono', title: d.name }, label(d))));
    return;
  }
  const had = me.view.files.contains(document.activeElement);
  me.view.files.replaceChildren(...docs.map((d) => h('button', {
    type: 'button', class: 'button mono', title: d.name, 'aria-pressed': String(d.name === me.open),
    on: { click: () => { me.open = ''; me.options.first = d.name; openDocument(me); show(me, 'draft'); } },
  }, label(d))));
  if (had) me.view.files.querySelector('[aria-pressed="true"]')?.focus();
}

function keys(me, event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || !me.space.editable) return;
  if (event.key === 's') {
    event.preventDefault();
    if (!me.view.save.disabled) save(me);
  } else if (event.key === 'Enter') {
    event.preventDefault();
    if (!me.view.apply.disabled) apply(me);
  }
}

// doing keeps the buttons still while something is done, and tells what failed.
async function doing(me, fn) {
  if (me.busy) return;
  me.busy = true;
  showState(me);
  try {
    await fn();
  } catch (failed) {
    if (failed.diagnostics?.length) me.space.refuse(failed.diagnostics);
    me.ctx.toast(failed.message, { kind: 'bad' });
  } finally {
    me.busy = false;
    show(me, 'draft');
  }
}

const save = (me) => doing(me, async () => {
  const { ctx, space } = me;
  const draft = space.draft();
  let saved = null;
  if (draft && draft.hash !== space.opened) {
    saved = await resolveDraft(ctx, space);
  } else {
    try {
      saved = await space.save();
    } catch (failed) {
      if (failed.status !== 412) throw failed;
      saved = await resolveDraft(ctx, space);
    }
  }
  if (saved) ctx.toast('Saved on the director. It is not in force: apply it for that.', { kind: 'ok' });
});

const apply = (me) => doing(me, async () => {
  const { ctx, space } = me;
  if (!space.editable) return showDraft(me);
  const { after, ...rest } = me.options.apply;
  if (after && !space.texts.size) return after(null);
  const options = { title: rest.title, verb: rest.verb };
  let answer = space.newer ? 'conflict' : await review(ctx, space, options);
  if (answer === 'conflict') answer = await resolve(ctx, space, options);
  if (!answer) return undefined;
  const warnings = answer.warnings?.length ?? 0;
  ctx.toast(`Applied: generation ${answer.generation}, version ${answer.version}${warnings ? `, with ${plural(warnings, 'warning')}` : ''}.`, { kind: 'ok' });
  return after?.(answer);
});

const showDraft = ({ ctx, space }) => review(ctx, { ...space, refuse() {} }, {
  title: 'What the draft changes', verb: 'Close', documents: space.draft().documents, act: async () => true,
});

const settle = (me) => doing(me, async () => {
  const answer = await resolve(me.ctx, me.space, { title: 'Review and apply', verb: 'Apply' });
  if (answer) me.ctx.toast(`Applied: generation ${answer.generation}, version ${answer.version}.`, { kind: 'ok' });
});

const revert = (me) => doing(me, async () => {
  const { ctx, space } = me;
  const sure = await ctx.confirm({
    title: 'Undo all changes?',
    body: `${space.changed().map(baseName).join(', ')}: the text becomes what the director has. A saved draft stays saved.`,
    confirm: 'Undo all', danger: true,
  });
  if (sure) space.takeAll([]);
});

async function openDraft(me) {
  const { ctx, space } = me;
  if (space.texts.size && !(await ctx.confirm({
    title: 'Open the draft over your text?', body: 'What you typed and did not save is taken away.', confirm: 'Open the draft', danger: true,
  }))) return;
  try {
    await space.openDraft();
  } catch (failed) {
    ctx.toast(failed.message, { kind: 'bad' });
  }
}

const discard = (me) => doing(me, async () => {
  const { ctx, space } = me;
  const sure = await ctx.confirm({
    title: 'Throw the draft away?', body: 'Nobody can open it any more. What is in force stays in force.', confirm: 'Throw it away', danger: true,
  });
  if (sure) await space.discard();
});

const reload = (me) => doing(me, async () => {
  const done = await me.ctx.api.post('/reload');
  await me.space.refresh();
  me.ctx.toast(`The files are in force: generation ${done.generation}.`, { kind: 'ok' });
});

const history = (me) => doing(me, () => showVersions(me.ctx, me.space));

// leaving tells what stays behind when a page is left.
export function leaving(ctx, space) {
  const editing = ['/flow', '/l4', '/services'].includes(location.pathname);
  if (editing || !space.unsaved()) return;
  ctx.toast(`${space.changed().map(baseName).join(', ')}: your text is neither saved nor applied. This browser's tab keeps it; it is there when you come back.`);
}

