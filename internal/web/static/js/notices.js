// Notices say what somebody who edits the configuration should know first: that a
// draft waits, that somebody else was here, that a text was brought back.

import { h } from './dom.js';
import { clock } from './format.js';
import { button, who } from './review.js';

// showNotices draws those that hold. do: openDraft, review, discard, settle, load.
export function showNotices({ space, view }, act) {
  const key = keyOf(space);
  if (view.notices.dataset.key === key) return; // a button that has the focus keeps it
  view.notices.dataset.key = key;
  const list = [
    space.newer && conflicting(act),
    space.restored && space.unsaved() && line('accent', `Your text of ${clock(space.restored)}, neither saved nor applied, was brought back.`),
    draftOf(space, act),
    outside(space, act),
    !space.editable && readOnly(space),
  ].filter(Boolean);
  view.notices.replaceChildren(...list);
}

// keyOf is all that the notices depend on.
const keyOf = (space) => JSON.stringify([
  Boolean(space.newer), space.restored && space.unsaved(), space.draft()?.hash, space.opened, space.texts.size > 0,
  space.base.hash, space.base.running,
]);

function line(kind, text, ...buttons) {
  return h('div', { class: `notice-line notice-${kind}` }, h('p', {}, text), buttons.length ? h('div', { class: 'notice-buttons' }, buttons) : null);
}

const conflicting = (act) => line('warn',
  'Somebody else changed the configuration while you edited it. Your text is safe.',
  button('Compare and settle…', '', act.settle));

function draftOf(space, act) {
  const draft = space.draft();
  if (!draft) return null;
  const mine = draft.hash === space.opened;
  const old = draft.base && draft.base !== space.base.hash ? ' The configuration was changed after it: look at the differences before you apply it.' : '';
  const said = `${mine && space.texts.size ? 'This draft is' : 'A draft is'} saved, not applied: by ${who(draft.by, draft.at)}.${old}`;
  const buttons = [];
  if (space.role !== 'viewer') buttons.push(button('Show what it changes', '', act.review));
  if (space.editable && !(mine && space.texts.size)) buttons.push(button('Open the draft', 'primary', act.openDraft));
  if (space.editable) buttons.push(button('Throw it away…', '', act.discard));
  return line('accent', said, ...buttons);
}

function outside(space, act) {
  if (space.newer || space.base.running === space.base.hash || !space.base.running) return null;
  return line('warn', 'The files were changed on the director and are not in force yet. What you see is what the files say.',
    ...(space.editable ? [button('Load the files', '', act.load)] : []));
}

function readOnly(space) {
  const secrets = space.base.redacted ? ' Secrets are left out.' : '';
  return line('plain', `You may read this, not change it (your role is ${space.role}).${secrets} Ask an administrator for changes.`);
}
