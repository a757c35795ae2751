// What the checkout page shows. Nothing here talks to the API; texts from outside only ever become text nodes.

import { decimalsOf, display, fromUnits, toUnits } from "./money.js";

const NEW_TAB = { target: "_blank", rel: "noopener" };

const byId = (id) => document.getElementById(id);

// What tells a saved payment method from others.
export function nameOfMethod(method) {
  return [method.brand || method.type, method.last4 && `•••• ${method.last4}`].filter(Boolean).join(" ");
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export class View {
  constructor(settings) {
    this.settings = settings;
    this.form = byId("payment");
  }

  text(name, values = {}) {
    return this.settings.texts[name].replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
  }

  money(units) {
    return display(fromUnits(units, this.decimals), this.currency, this.settings.locale);
  }

  nameOf(providerId) {
    return this.settings.providers[providerId]?.name ?? providerId;
  }

  say(tone, message, { isTurning = false } = {}) {
    const note = element("p", { class: `note ${tone}${isTurning ? " turning" : ""}` }, message);
    byId("messages").replaceChildren(note);
    if (tone === "bad") byId("messages").focus();
  }

  hush() {
    byId("messages").replaceChildren();
  }

  busy(isBusy) {
    this.isBusy = isBusy;
    byId("checkout").setAttribute("aria-busy", String(isBusy));
    byId("pay").disabled = isBusy;
    if (isBusy) byId("pay").textContent = this.text("paying");
    else this.#label();
  }

  // Sums and parts

  show(collection, acts) {
    this.currency = collection.currency_code;
    this.decimals = decimalsOf(collection.amount);
    const sums = this.sums(collection);
    this.open = sums.open;
    byId("due").textContent = this.money(sums.open);
    this.#meter(sums);
    byId("parts").replaceChildren(...this.#shown(collection).map((session) => this.#part(session, collection, acts)));
    return sums;
  }

  sums(collection) {
    const units = (name) => toUnits(collection[name], this.decimals);
    const total = units("amount");
    const paid = units("captured_amount");
    const held = units("authorized_amount") - paid;
    const waiting = collection.payment_sessions
      .filter((session) => ["requires_more", "pending"].includes(session.status))
      .reduce((sum, session) => sum + toUnits(session.amount, this.decimals), 0n);
    const open = total - paid - held;
    return { total, paid, held, open: open > 0n ? open : 0n, waiting };
  }

  #shown(collection) {
    return collection.payment_sessions.filter((session) => session.due_at || !["canceled", "error"].includes(session.status));
  }

  date(moment) {
    return new Intl.DateTimeFormat(this.settings.locale, { dateStyle: "long" }).format(new Date(moment));
  }

  #meter({ total, paid, held, open, waiting }) {
    const share = (units) => `${(Number((units > total ? total : units) * 10000n / total) / 100).toFixed(2)}%`;
    const meter = byId("meter");
    meter.querySelector(".paid").style.width = share(paid);
    meter.querySelector(".held").style.width = share(held);
    meter.querySelector(".wait").style.width = share(waiting);
    const words = { paid: this.money(paid), held: this.money(held), open: this.money(open) };
    meter.setAttribute("aria-label", this.text("meter", words));
  }

  #part(session, collection, acts) {
    const state = session.in_progress === "authorize" ? "processing" : session.status;
    const amount = toUnits(session.amount, this.decimals);
    const row = element("div", { class: "row" },
      element("span", { class: "what" }, element("strong", {}, this.nameOf(session.provider_id)), this.#detail(session, collection)),
      element("span", { class: `chip ${session.status}` }, this.text(state)),
      element("span", { class: "price" }, this.money(amount)));
    return element("li", { class: "part" }, row, this.#acts(session, state, acts));
  }

  #detail(session, collection) {
    if (!session.due_at) return this.#covered(session, collection);
    return element("span", { class: "soft" }, this.text("due", { date: this.date(session.due_at) }));
  }

  #covered(session, collection) {
    const authorized = collection.payment_sessions.filter((each) => each.status === "authorized");
    const asked = authorized.reduce((sum, each) => sum + toUnits(each.amount, this.decimals), 0n);
    const missing = asked - toUnits(collection.authorized_amount, this.decimals);
    if (session.status !== "authorized" || missing <= 0n || authorized.at(-1) !== session && authorized.length > 1) return null;
    const covered = toUnits(session.amount, this.decimals) - missing;
    return element("span", { class: "soft" }, this.text("partly", { amount: this.money(covered) }));
  }

  #acts(session, state, acts) {
    if (!["requires_more", "pending"].includes(state) || (session.due_at && state === "pending")) return null;
    const isAtBank = session.next_action?.type === "redirect";
    const onward = isAtBank ? element("a", { class: "button small", href: session.next_action.url, ...(session.due_at && NEW_TAB) }, this.text("toBank")) : null;
    // An installment is the shop's to cancel.
    const drop = session.due_at ? null : element("button", { class: "button quiet small", type: "button", onclick: () => acts.drop(session) }, this.text("drop"));
    return element("div", { class: "acts" }, ...[onward, drop].filter(Boolean));
  }

  // The form

  offer(providers, saved, onPay) {
    const [first, second] = providers;
    this.providers = providers;
    const methods = providers.map((each) => this.#choice("method", each.id, this.nameOf(each.id), this.settings.providers[each.id]?.hint ?? each.name));
    if (second) {
      const names = { first: this.nameOf(first.id), second: this.nameOf(second.id) };
      methods.push(this.#choice("method", "split", this.text("split"), this.text("splitHint", names)));
    }
    byId("methods").append(...methods);
    this.saved = saved;
    byId("cards").append(...saved.map((method) => this.#choice("card", method.id, nameOfMethod(method), this.text("saved"))));
    byId("cards").append(...this.settings.cards.map((card) => this.#choice("card", card.id, card.name, card.hint)));
    for (const group of ["methods", "cards"]) byId(group).querySelector("input").checked = true;
    this.form.addEventListener("change", () => this.refreshForm());
    this.form.addEventListener("input", () => this.#rest());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const shares = this.planned ? [this.#plannedShare()] : this.#shares();
      if (shares) onPay(shares);
    });
  }

  // With a part that the shop has planned or prepared, the form pays that one; otherwise what is open, in one part or two.
  showForm(isShown, planned = null) {
    this.form.hidden = !isShown;
    this.planned = planned;
    // What was typed before a part was paid may be all of what is open now.
    if (this.#firstShare() === null) byId("first-amount").value = "";
    if (isShown) this.refreshForm();
  }

  refreshForm() {
    const method = this.#method();
    const isSplit = method === "split" && !this.planned;
    byId("methods").hidden = Boolean(this.planned);
    byId("cards").hidden = (this.planned?.provider_id ?? method) !== this.settings.cardProvider && !isSplit;
    byId("shares").hidden = !isSplit;
    if (isSplit) {
      const [first, second] = this.providers;
      byId("first-name").textContent = this.text("amountOn", { name: this.nameOf(first.id), currency: this.currency.toUpperCase() });
      byId("second-name").textContent = this.text("rest", { name: this.nameOf(second.id) });
      byId("amount-hint").textContent = this.text("amountHint", { amount: this.money(this.open) });
      if (!byId("first-amount").value) byId("first-amount").value = fromUnits(this.#suggested(), this.decimals);
    }
    this.#rest();
    this.#label();
  }

  #choice(group, value, name, hint) {
    return element("label", { class: "choice" }, element("input", { type: "radio", name: group, value }), element("b", {}, name), element("span", {}, hint));
  }

  #method() {
    return this.form.elements.method.value;
  }

  #firstShare() {
    const units = toUnits(byId("first-amount").value, this.decimals);
    return units !== null && units > 0n && units < this.open ? units : null;
  }

  // Six tenths, in whole major units where that is possible.
  #suggested() {
    const one = 10n ** BigInt(this.decimals);
    const share = this.open * 6n / 10n;
    return share > one ? share - (share % one) : share;
  }

  #rest() {
    if (this.#method() !== "split") return;
    const share = this.#firstShare();
    byId("second-amount").textContent = share === null ? "–" : this.money(this.open - share);
    if (share !== null) byId("first-amount").removeAttribute("aria-invalid");
  }

  #label() {
    if (this.open === undefined) return;
    const units = this.planned ? toUnits(this.planned.amount, this.decimals) : this.open;
    byId("pay").textContent = this.text("pay", { amount: this.money(units) });
  }

  #dataFor(providerId) {
    if (providerId !== this.settings.cardProvider) return undefined;
    const chosen = this.form.elements.card.value;
    return this.saved.some((method) => method.id === chosen) ? { payment_method: chosen } : { card: chosen };
  }

  #plannedShare() {
    return { session: this.planned.id, data: this.#dataFor(this.planned.provider_id) };
  }

  // Each share is a provider with an amount; the only one has none, and covers what is left.
  #shares() {
    const method = this.#method();
    if (method !== "split") return [{ provider: method, data: this.#dataFor(method) }];
    const share = this.#firstShare();
    if (share === null) {
      this.say("bad", this.text("amountWrong", { amount: this.money(this.open) }));
      byId("first-amount").setAttribute("aria-invalid", "true");
      byId("first-amount").focus();
      return null;
    }
    const [first, second] = this.providers.map((each) => each.id);
    const amounts = { [first]: share, [second]: this.open - share };
    // What needs the bank goes last, since it leads away from this page.
    return [second, first].sort((one) => (one === this.settings.cardProvider ? 1 : -1))
      .map((id) => ({ provider: id, amount: fromUnits(amounts[id], this.decimals), data: this.#dataFor(id) }));
  }
}
