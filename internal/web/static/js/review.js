// Review is what stands before every change of the configuration: the lines that
// differ, what that does, and what is to be said of it; then the change, or not.

import { h, text as setText } from './dom.js';
import { moment } from './format.js';
import { diffOf, findings } from './difftable.js';

// sheet opens a large dialog and gives {node, body, buttons, close(value), closed}.
// Escape closes it with ''.
export function sheet(title, { wide = true } = {}) {
  const before = document.activeElement;
  const body = h('div', { class: 'dialog-body' });
  const buttons = h('div', { class: 'dialog-buttons' });
  const node = h('dialog', { class: wide ? 'dialog sheet' : 'dialog', 'aria-labelledby': 'sheet-title' },
    h('h2', { id: 'sheet-title' }, title), body, buttons);
  const closed = new Promise((done) => {
    node.addEventListener('close', () => {
      node.remove();
      if (before?.isConnected) before.focus();
      done(node.returnValue);
    });
  });
  document.body.append(node);
  node.showModal();
  return { node, body, buttons, closed, close: (value = '') => node.close(value) };
}

// button is one of a dialog. kind: primary, danger or nothing.
export const button = (label, kind, click) =>
  h('button', { type: 'button', class: kind ? `button ${kind}` : 'button', on: { click } }, label);

// review shows what documents change and, when asked to, changes it. Options: title,
// verb (the button's words), documents, act (the change), note (a text). It gives
// what act gave, 'conflict' when somebody else was faster, or null.
export async function review(ctx, space, options) {
  const { title, verb = 'Apply', documents = space.documents(), act = () => space.apply(), note } = options;
  const dialog = sheet(title);
  const said = h('p', { class: 'review-said', role: 'status' }, 'Comparing with what is in force …');
  const failed = h('div', { role: 'alert' });
  let answer = null;
  const cancel = button('Cancel', '', () => dialog.close());
  const go = button(verb, 'primary', async () => {
    go.disabled = true;
    setText(go, `${verb} …`);
    answer = await attempt(dialog, failed, space, act);
    setText(go, verb);
    go.disabled = false;
  });
  go.disabled = true;
  dialog.body.append(said);
  dialog.buttons.append(cancel, go);
  cancel.focus();
  try {
    const found = await ctx.api.post('/config/diff', { documents });
    fill(dialog, said, found, note);
    go.disabled = !found.ok || !(found.documents?.length || options.always);
    if (!go.disabled) go.focus();
  } catch (problem) {
    setText(said, problem.message);
    if (problem.diagnostics?.length) dialog.body.append(findings(problem.diagnostics));
  }
  dialog.body.append(failed);
  await dialog.closed;
  return answer;
}

// attempt does the change. A refusal stays in the dialog, with its reasons.
async function attempt(dialog, failed, space, act) {
  failed.replaceChildren();
  try {
    const done = await act();
    dialog.close('done');
    return done ?? true;
  } catch (problem) {
    if (problem.status === 412) {
      dialog.close('conflict');
      return 'conflict';
    }
    const list = problem.diagnostics ?? [];
    if (list.length) space.refuse(list);
    failed.replaceChildren(
      h('p', { class: 'review-refused' }, `Nothing was changed: ${problem.message}`),
      ...(list.length ? [findings(list)] : []));
    failed.scrollIntoView({ block: 'nearest' });
    return null;
  }
}

function fill(dialog, said, found, note) {
  const all = found.diagnostics ?? [];
  const errors = all.filter((d) => d.severity === 'error');
  const warnings = all.filter((d) => d.severity !== 'error');
  const differ = found.documents ?? [];
  setText(said, verdict(errors.length, differ.length));
  if (note) dialog.body.append(h('p', {}, note));
  if (errors.length) dialog.body.append(part('Errors', findings(errors)));
  if (found.effects?.length) dialog.body.append(part('What changes', h('ul', { class: 'effects' }, found.effects.map((e) => h('li', {}, e)))));
  if (warnings.length) dialog.body.append(part('Warnings', findings(warnings)));
  if (differ.length) dialog.body.append(part('Lines', differ.map((d) => diffOf(d.name, d.lines))));
  if (found.notes?.length) {
    dialog.body.append(h('details', {}, h('summary', {}, 'What nobody wrote but holds'),
      h('ul', { class: 'effects' }, found.notes.map((n) => h('li', {}, n)))));
  }
}

function verdict(errors, differ) {
  if (errors) return 'This cannot be applied: it has errors. What is in force stays in force.';
  if (!differ) return 'Nothing differs from what is in force.';
  return 'This comes into force as a whole, or not at all.';
}

const part = (title, ...content) => h('section', { class: 'review-part' }, h('h3', {}, title), content);

// who says who changed something, and when, as far as it is known.
export function who(by, at) {
  const date = at ? new Date(at) : null;
  const when = date && !Number.isNaN(date.valueOf()) && date.getFullYear() > 1 ? moment(date) : '';
  return [by || 'somebody', when && `at ${when}`].filter(Boolean).join(' ');
}
