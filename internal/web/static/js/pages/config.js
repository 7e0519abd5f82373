// The pages Flow and LB layer 4: the documents of that tab, and those of no tab.

import { h, stylesheet } from '../dom.js';
import { workspaceOf } from '../workspace.js';
import { createDesk, leaving } from '../desk.js';

const about = {
  flow: {
    title: 'Flow',
    lead: 'The flow manager: which packets go to which director. The first flow that matches decides.',
    placeholder: '# For example:\n# flow nfs director nfs\n#   match iface eth0 dst 192.168.10.50',
  },
  l4: {
    title: 'LB layer 4',
    lead: 'The directors: real servers, how they are checked, and which of them serve.',
    placeholder: '# For example:\n# director nfs\n#   balance roundrobin\n#   mode gateway\n#   check interval 10 port 2049 timeout 2\n#   option tcpcheck\n#   server nfs-01 192.168.10.100:2049 weight 10 check\n#   server nfs-02 192.168.10.101:2049 sorry',
  },
};

export const title = (ctx) => about[ctx.route.tab].title;

// pickOf chooses the documents of a tab and those of none.
export const pickOf = (tab) => (documents) => [
  ...documents.filter((d) => d.tab === tab), ...documents.filter((d) => d.tab === 'other'),
];

export function mount(root, ctx) {
  const { title: name, lead, placeholder } = about[ctx.route.tab];
  const space = workspaceOf(ctx);
  let desk = null;
  let left = false;
  root.append(h('div', { class: 'head' }, h('h1', {}, name), h('p', { class: 'muted lead' }, lead)));
  stylesheet('editor').then(() => {
    if (left) return;
    desk = createDesk(root, ctx, space, {
      pick: pickOf(ctx.route.tab),
      placeholder,
      apply: { label: 'Apply…', title: 'Review and apply', verb: 'Apply' },
    });
  });
  return () => {
    left = true;
    desk?.close();
    leaving(ctx, space);
  };
}
