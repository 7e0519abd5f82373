// Versions are the configurations that were once in force: to look at, to compare
// with what is in force now, and to bring back.

import { h } from './dom.js';
import { compare } from './diff.js';
import { diffOf } from './difftable.js';
import { button, review, sheet, who } from './review.js';
import { moment } from './format.js';

// showVersions opens the list. rollBack(version) is called when somebody wants one back.
export async function showVersions(ctx, space) {
  const dialog = sheet('Versions of the configuration');
  const list = h('ol', { class: 'versions', 'aria-label': 'Versions, the newest first' });
  const view = h('div', { class: 'version-view', 'aria-live': 'polite' }, h('p', { class: 'muted' }, 'Choose a version to look at it.'));
  const back = button('Roll back to it…', 'danger', () => dialog.close('back'));
  back.disabled = true;
  let chosen = null;
  dialog.body.append(h('div', { class: 'version-sides' }, list, view));
  dialog.buttons.append(button('Close', '', () => dialog.close()), back);
  const choose = async (id, pressed) => {
    for (const other of list.querySelectorAll('button')) other.setAttribute('aria-pressed', String(other === pressed));
    try {
      chosen = await ctx.api.get(`/config/versions/${id}`);
      view.replaceChildren(...look(chosen, space));
      back.disabled = chosen.hash === space.base.running;
    } catch (failed) {
      view.replaceChildren(h('p', { role: 'alert' }, failed.message));
    }
  };
  try {
    const versions = await ctx.api.get('/config/versions');
    list.append(...versions.map((v) => entry(v, space, choose)));
    if (!versions.length) view.replaceChildren(h('p', {}, 'There is no version yet. One is kept each time a configuration comes into force.'));
    list.querySelector('button')?.focus();
  } catch (failed) {
    view.replaceChildren(h('p', { role: 'alert' }, failed.message));
  }
  return (await dialog.closed) === 'back' && chosen ? rollBack(ctx, space, chosen) : null;
}

function entry(v, space, choose) {
  const inForce = v.hash === space.base.running;
  return h('li', {}, h('button', {
    type: 'button', class: 'version', 'aria-pressed': 'false', on: { click: (e) => choose(v.id, e.currentTarget) },
  }, h('strong', {}, `Version ${v.id}`), inForce && h('span', { class: 'chip' }, 'in force'),
  h('span', { class: 'small muted' }, `${moment(new Date(v.at))} · ${v.by || 'unknown'}`)));
}

// look shows a version: first how it differs from now, then its text.
function look(version, space) {
  const docs = version.documents ?? [];
  const differ = docs.map((d) => [d.name, compare(space.original(d.name), d.text)]).filter(([, lines]) => lines.some((l) => l.op !== ' '));
  return [
    h('h3', {}, `Version ${version.id}, of ${who(version.by, version.at)}`),
    h('p', { class: 'small muted' }, differ.length ? 'What going back to it would change in the files of now:' : 'It says the same as the files of now.'),
    ...differ.map(([name, lines]) => diffOf(name, lines, 'Going back')),
    h('details', {}, h('summary', {}, 'Its whole text'),
      docs.map((d) => h('section', {}, h('h3', { class: 'mono' }, d.name), h('pre', { class: 'whole', tabindex: '0' }, d.text || '(empty)')))),
  ];
}

async function rollBack(ctx, space, version) {
  const answer = await review(ctx, space, {
    title: `Roll back to version ${version.id}`,
    verb: `Roll back to version ${version.id}`,
    documents: version.documents,
    act: () => space.restore(version.id),
    note: `What ${who(version.by, version.at)} brought into force comes into force again, as a new version. Nothing of the history is lost.`,
  });
  if (answer === 'conflict') {
    await space.refresh();
    ctx.toast('Nothing was rolled back: somebody else changed the configuration meanwhile. Look at the versions again.', { kind: 'bad' });
    return null;
  }
  if (answer) ctx.toast(`Version ${version.id} is in force again, as version ${answer.version}.`, { kind: 'ok' });
  return answer;
}
