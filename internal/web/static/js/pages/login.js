// The login page.

import { h, text } from '../dom.js';

export const title = 'Log in';

export function mount(root, ctx) {
  const user = input('text', 'user', 'username');
  const password = input('password', 'password', 'current-password');
  const said = h('p', { class: 'said', role: 'alert' });
  const button = h('button', { type: 'submit', class: 'button primary' }, 'Log in');
  const form = h('form', { class: 'card login', on: { submit } },
    h('h1', {}, 'Log in to Fairlead'),
    h('label', { class: 'field' }, h('span', {}, 'Name'), user),
    h('label', { class: 'field' }, h('span', {}, 'Password'), password),
    said,
    button,
    h('p', { class: 'small muted' }, 'No account yet? Root makes one on the director: ', h('code', {}, 'sudo fairlead user add NAME --role admin'), '.'));
  root.append(form);
  user.focus();

  async function submit(event) {
    event.preventDefault();
    text(said, '');
    button.disabled = true;
    try {
      const who = await ctx.api.post('/session', { user: user.value, password: password.value });
      await ctx.begin(who);
    } catch (failed) {
      text(said, failed.message);
      password.value = '';
      password.focus();
    } finally {
      button.disabled = false;
    }
  }
}

const input = (type, name, autocomplete) =>
  h('input', { class: 'input', type, name, autocomplete, required: true, spellcheck: 'false', autocapitalize: 'none' });
