// What a page's script finds in a browser, as far as docs/storefront.md needs it, in Node: cookies, and a place to go to.
// The payer sits in front of it: at the bank's page they enter the right code, or choose a card to be saved. Every answer
// is written down.

const send = globalThis.fetch;

let cookies = {};
let destination = null;
let latest = null;

globalThis.fetch = async (url, options = {}) => {
  const headers = new Headers(options.headers);
  const known = Object.entries(cookies).map(([name, value]) => `${name}=${value}`);
  if (known.length) headers.set("Cookie", known.join("; "));
  const response = await send(url, { ...options, headers, redirect: "manual" });
  latest = { status: response.status, headers: Object.fromEntries(response.headers), body: await response.clone().text() };
  return response;
};

globalThis.location = {
  assign(url) {
    destination = url;
  },
};

// A script can't read the session's cookie, which is HttpOnly.
globalThis.document = {
  get cookie() {
    const readable = Object.entries(cookies).filter(([name]) => name.endsWith("csrftoken"));
    return readable.map(([name, value]) => `${name}=${value}`).join("; ");
  },
};

export function logIn(given) {
  cookies = given;
}

// Ends a step: the payer does what the page sends them to, and what was answered last is told.
export async function endStep() {
  if (destination !== null) {
    const body = new URLSearchParams({ code: "123456", decision: "approve", card: "card_ok" });
    await fetch(destination, { method: "POST", body });
    destination = null;
  }
  console.log(JSON.stringify(latest));
  latest = null;
}
