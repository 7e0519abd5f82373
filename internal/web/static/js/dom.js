// dom makes elements. Texts become text nodes, never markup: nothing that the
// daemon says can become a tag.

const svgSpace = 'http://www.w3.org/2000/svg';

// h makes an HTML element. Props: class, text, dataset, style (an object), on
// (listeners by name); true and false for attributes without a value; null
// leaves one out. Children: nodes, texts, nested arrays; null and false are left out.
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

// s makes an SVG element, with the same rules.
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(svgSpace, tag), props, children);
}

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) set(node, name, value);
  add(node, children);
  return node;
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  switch (name) {
    case 'text':
      node.textContent = value;
      break;
    case 'class':
      node.setAttribute('class', value);
      break;
    case 'dataset':
      Object.assign(node.dataset, value);
      break;
    case 'style':
      // Through the object model: the content security policy forbids the attribute.
      for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
      break;
    case 'on':
      for (const [k, v] of Object.entries(value)) node.addEventListener(k, v);
      break;
    default:
      node.setAttribute(name, value === true ? '' : value);
  }
}

function add(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(node, child);
    else if (child !== null && child !== undefined && child !== false) node.append(child);
  }
}

// text changes a node's text only when it differs, so that a patch touches only
// what changed.
export function text(node, value) {
  const wanted = String(value ?? '');
  if (node.textContent !== wanted) node.textContent = wanted;
}

// attr changes an attribute only when it differs; null takes it away.
export function attr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const wanted = value === true ? '' : String(value);
  if (node.getAttribute(name) !== wanted) node.setAttribute(name, wanted);
}

// stylesheet loads css/NAME.css once. The promise ends when it holds.
export function stylesheet(name) {
  const href = `/static/css/${name}.css`;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((done) => {
    const link = h('link', { rel: 'stylesheet', href, on: { load: done, error: done } });
    document.head.append(link);
  });
}

// later calls fn at the end of the present turn's frame, once, however often it
// is asked meanwhile. A hidden page draws nothing: the newest is drawn when it is seen.
export function later(fn) {
  let asked = 0;
  const ask = () => {
    if (asked) return;
    asked = requestAnimationFrame(() => {
      asked = 0;
      fn();
    });
  };
  ask.cancel = () => {
    cancelAnimationFrame(asked);
    asked = 0;
  };
  return ask;
}

// after calls fn when nobody asked again for ms.
export function after(ms, fn) {
  let timer = 0;
  const ask = () => {
    clearTimeout(timer);
    timer = setTimeout(fn, ms);
  };
  ask.cancel = () => clearTimeout(timer);
  return ask;
}
