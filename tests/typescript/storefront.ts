// A storefront's program, against nothing but the types that were made from the OpenAPI document.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Session = components["schemas"]["PaymentSession"];
type NextAction = components["schemas"]["NextAction"];
type Failure = components["schemas"]["Error"];

// What the payer does, in a browser that there isn't here.
export interface Payer {
  visit(url: string): Promise<void>;
}

export class Storefront {
  readonly #api;
  readonly #payer: Payer;

  constructor(site: string, payer: Payer) {
    this.#api = createClient<paths>({ baseUrl: `${site}/payments` });
    this.#payer = payer;
  }

  async open(reference: string) {
    const { data, error } = await this.#api.POST("/storefront/payment-collections/", { body: { reference } });
    if (error) throw new Error(error.code);
    const secret: string = data.client_secret;
    this.#api.use({
      onRequest({ request }) {
        request.headers.set("Payment-Client-Secret", secret);
      },
    });
    return data;
  }

  async collection(id: string) {
    const { data, error } = await this.#api.GET("/storefront/payment-collections/{collection_id}/", {
      params: { path: { collection_id: id } },
    });
    if (error) throw new Error(error.code);
    return data;
  }

  async create(collection: string, provider: string, amount?: string): Promise<Session> {
    const { data, error } = await this.#api.POST("/storefront/payment-collections/{collection_id}/payment-sessions/", {
      params: { path: { collection_id: collection }, header: { "Idempotency-Key": crypto.randomUUID() } },
      body: amount === undefined ? { provider_id: provider } : { provider_id: provider, amount },
    });
    if (error) throw new Error(error.code);
    return data;
  }

  // Returns the session, or why it was refused: what is authorized is the shop's to let go of.
  async cancel(session: string): Promise<Session | Failure> {
    const { data, error } = await this.#api.POST("/storefront/payment-sessions/{session_id}/cancel/", {
      params: { path: { session_id: session } },
    });
    return data ?? error;
  }

  // Returns the session, or why it was refused: a conflict, say. A decline is a session.
  async authorize(session: string, input?: Record<string, unknown>): Promise<Session | Failure> {
    const { data, error, response } = await this.#api.POST("/storefront/payment-sessions/{session_id}/authorize/", {
      params: { path: { session_id: session }, header: { "Idempotency-Key": crypto.randomUUID() } },
      ...(input && { body: { data: input } }),
    });
    if (error) return error;
    return response.status === 202 ? this.settled(data.id) : data;
  }

  // Asks until nothing is under way on a session any more.
  async settled(session: string): Promise<Session> {
    for (;;) {
      const { data, error, response } = await this.#api.GET("/storefront/payment-sessions/{session_id}/", {
        params: { path: { session_id: session } },
      });
      if (error) throw new Error(error.code);
      if (data.in_progress === null) return data;
      const seconds = Number(response.headers.get("Retry-After") ?? "0.2");
      await new Promise((resume) => setTimeout(resume, seconds * 1000));
    }
  }

  // Does what a session waits for, without knowing its provider, and authorizes it again.
  async follow(session: Session): Promise<Session | Failure> {
    if (session.next_action === null) return session;
    const input = await this.#act(session.next_action);
    return this.authorize(session.id, input);
  }

  async #act(action: NextAction): Promise<Record<string, unknown> | undefined> {
    switch (action.type) {
      case "redirect":
        await this.#payer.visit(action.url);
        return undefined;
      case "challenge":
        if (action.url !== null) await this.#payer.visit(action.url);
        return action.url === null ? { code: "123456" } : undefined;
      case "provider_script":
        throw new Error("This storefront has no script of any provider.");
    }
  }
}

export function isSession(answer: Session | Failure): answer is Session {
  return "status" in answer;
}
