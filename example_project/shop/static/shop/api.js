// The storefront API of `payments`, one function per request. Every POST has an Idempotency-Key, which stays the same
// when the request is sent again because no answer came: then it can't be carried out twice.

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = body?.code ?? "";
  }
}

const TRIES = 3;
const pause = (seconds) => new Promise((resume) => setTimeout(resume, seconds * 1000));

export class Storefront {
  #secret = "";

  constructor(urls, csrfCookie) {
    this.urls = urls;
    this.csrfCookie = csrfCookie;
  }

  async open(reference) {
    const collection = (await this.#post(this.urls.collections, { reference })).body;
    this.#secret = collection.client_secret;
    return collection;
  }

  async providers() {
    return (await this.#send("GET", this.urls.providers)).body.results;
  }

  async collection(id) {
    return (await this.#send("GET", this.#to("collection", id))).body;
  }

  createSession(collectionId, wish) {
    return this.#post(this.#to("newSession", collectionId), wish);
  }

  authorize(sessionId, data) {
    return this.#post(this.#to("authorize", sessionId), data ? { data } : {});
  }

  cancel(sessionId) {
    return this.#post(this.#to("cancel", sessionId), {});
  }

  // What a customer has saved; nobody else has an address to ask.
  async savedMethods() {
    return this.urls.savedMethods ? (await this.#send("GET", this.urls.savedMethods)).body.results : [];
  }

  async saveMethod(returnUrl) {
    return (await this.#post(this.urls.savedMethods, { return_url: returnUrl })).body;
  }

  removeMethod(id) {
    return this.#send("DELETE", this.#to("savedMethod", id));
  }

  #to(name, id) {
    return this.urls[name].replace("ID", encodeURIComponent(id));
  }

  async #post(url, body) {
    const key = newKey();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#send("POST", url, body, key);
      } catch (error) {
        if (attempt === TRIES || (error instanceof ApiError && error.status !== 503)) throw error;
        await pause(attempt);
      }
    }
  }

  async #send(method, url, body, key) {
    const headers = { Accept: "application/json" };
    if (this.#secret) headers["Payment-Client-Secret"] = this.#secret;
    if (method !== "GET") headers["X-CSRFToken"] = cookie(this.csrfCookie);
    if (body) Object.assign(headers, { "Content-Type": "application/json", "Idempotency-Key": key });
    const response = await fetch(url, { method, headers, body: body && JSON.stringify(body), credentials: "same-origin" });
    const answer = await response.json().catch(() => null);
    if (!response.ok) throw new ApiError(response.status, answer);
    return { isKnown: response.status !== 202, body: answer };
  }
}

// Read anew for every request: logging in, in any window, changes the token.
function cookie(name) {
  return document.cookie.split("; ").find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
