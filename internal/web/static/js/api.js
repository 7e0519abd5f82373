// api speaks to the daemon: JSON, the CSRF token of the session, and problem
// details (RFC 9457) as errors. It keeps nothing and decides nothing.

const base = '/api/v1';

// Problem is an answer that says no, or no answer at all (status 0).
export class Problem extends Error {
  constructor(status, title, detail, diagnostics) {
    super(detail || title);
    this.name = 'Problem';
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.diagnostics = diagnostics ?? [];
  }
}

// createApi returns the calls. session() gives the CSRF token; lost() is told
// when the login is no longer valid.
export function createApi({ csrf, lost }) {
  // request gives {status, data, etag}. Options: body (sent as JSON), match (If-Match),
  // headers, signal.
  async function request(method, path, { body, match, headers, signal } = {}) {
    const answer = await send(method, path, { body, match, headers, signal });
    const data = await read(answer);
    if (answer.ok) return { status: answer.status, data, etag: answer.headers.get('ETag') };
    if (answer.status === 401 && path !== '/session') lost();
    throw problem(answer, data);
  }

  async function send(method, path, { body, match, headers = {}, signal }) {
    const all = { Accept: 'application/json', ...headers };
    if (body !== undefined) all['Content-Type'] = 'application/json';
    if (match !== undefined) all['If-Match'] = match;
    if (method !== 'GET' && csrf()) all['X-Fairlead-CSRF'] = csrf();
    try {
      return await fetch(base + path, {
        method,
        headers: all,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
        cache: 'no-store',
        credentials: 'same-origin',
      });
    } catch (failed) {
      if (failed.name === 'AbortError') throw failed;
      throw new Problem(0, 'No answer', 'The daemon does not answer. The data plane keeps forwarding. ' +
        'Look whether fairlead still runs on the director, and whether this browser reaches it.');
    }
  }

  const only = (promise) => promise.then((answer) => answer.data);
  return {
    request,
    get: (path, options) => only(request('GET', path, options)),
    post: (path, body, options) => only(request('POST', path, { ...options, body })),
    put: (path, body, options) => only(request('PUT', path, { ...options, body })),
    del: (path, options) => only(request('DELETE', path, options)),
  };
}

async function read(answer) {
  const type = answer.headers.get('Content-Type') ?? '';
  if (!type.includes('json')) return null;
  try {
    return await answer.json();
  } catch {
    return null;
  }
}

function problem(answer, data) {
  const title = data?.title ?? answer.statusText ?? 'Refused';
  const detail = data?.detail ?? data?.error ?? `The daemon answered ${answer.status} without saying why.`;
  return new Problem(answer.status, title, detail, data?.diagnostics);
}

// query makes "?a=1&b=2" of what is not empty.
export function query(values) {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== '' && value !== null && value !== undefined) all.set(name, value);
  }
  const text = all.toString();
  return text ? '?' + text : '';
}
