// A customer's saved cards: shows them, has one saved on the provider's own page, and has one forgotten.

import { ApiError, Storefront } from "./api.js";
import { element, nameOfMethod } from "./view.js";

const settings = JSON.parse(document.getElementById("settings").textContent);
const api = new Storefront(settings.urls, settings.csrfCookie);
const byId = (id) => document.getElementById(id);

async function show() {
  const saved = await api.savedMethods();
  byId("cards").replaceChildren(...saved.map(row));
  byId("cards").hidden = saved.length === 0;
  byId("none").hidden = saved.length > 0;
}

function row(method) {
  const name = nameOfMethod(method);
  const expires = settings.texts.until.replace("{month}", method.expires);
  const forget = () => guarded(() => api.removeMethod(method.id).then(show));
  const button = element("button", { type: "button", class: "button quiet small", "aria-label": `${settings.texts.remove}: ${name}`, onclick: forget }, settings.texts.remove);
  return element("li", {}, element("div", { class: "what" }, element("strong", {}, name), element("span", { class: "soft" }, expires)), button);
}

async function save() {
  const setup = await api.saveMethod(settings.urls.cards);
  location.assign(setup.next_action.url);
}

async function guarded(work) {
  byId("saved").setAttribute("aria-busy", "true");
  byId("messages").replaceChildren();
  try {
    await work();
  } catch (error) {
    const isOffline = !(error instanceof ApiError) || error.status >= 500;
    const told = isOffline ? settings.texts.offline : settings.texts.failed.replace("{message}", error.message);
    byId("messages").replaceChildren(element("p", { class: "note bad" }, told));
  } finally {
    byId("saved").setAttribute("aria-busy", "false");
  }
}

byId("save").addEventListener("click", () => guarded(save));
guarded(show);
