// Pays one order in two parts, one of them with a code of the bank, and tells what it saw on the way.

import { isSession, Storefront, type Payer } from "./storefront.js";

const payer: Payer = {
  async visit(url) {
    const form = new URLSearchParams({ code: "123456", decision: "approve" });
    await fetch(url, { method: "POST", body: form, redirect: "manual" });
  },
};

export async function pay(site: string, reference: string) {
  const storefront = new Storefront(site, payer);
  const opened = await storefront.open(reference);

  const card = await storefront.create(opened.id, "simulator", "60.00");
  const asked = await storefront.authorize(card.id, { card: "card_3ds" });
  if (!isSession(asked)) throw new Error(asked.code);
  const confirmed = await storefront.follow(asked);

  const transfer = await storefront.create(opened.id, "system", "40.00");
  const promised = await storefront.authorize(transfer.id);

  const paid = await storefront.collection(opened.id);
  return {
    opened: opened.status,
    asked: [asked.status, asked.next_action?.type],
    confirmed: isSession(confirmed) ? confirmed.status : confirmed.code,
    promised: isSession(promised) ? promised.status : promised.code,
    paid: [paid.status, paid.authorized_amount, ...paid.payment_sessions.map((session) => session.amount)],
  };
}

export async function fail(site: string, reference: string) {
  const storefront = new Storefront(site, payer);
  const opened = await storefront.open(reference);

  const session = await storefront.create(opened.id, "simulator");
  const declined = await storefront.authorize(session.id, { card: "card_insufficient_funds" });
  const later = await storefront.authorize(session.id, { card: "card_async" });
  const conflict = await storefront.cancel(session.id);

  return {
    declined: isSession(declined) ? [declined.status, declined.error?.code] : declined.code,
    later: isSession(later) ? later.status : later.code,
    conflict: isSession(conflict) ? conflict.status : [conflict.type, conflict.code],
  };
}
