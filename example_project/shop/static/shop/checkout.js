// The checkout: opens the order's collection, lets the payer pay it in one or two parts, follows what the provider asks
// for, and asks again where the outcome isn't known yet.

import { ApiError, Storefront } from "./api.js";
import { View } from "./view.js";

const settings = JSON.parse(document.getElementById("settings").textContent);
const api = new Storefront(settings.urls, settings.csrfCookie);
const view = new View(settings);

const POLL_SECONDS = 1.5;
const POLLS = 40;
const WEBHOOK_SECONDS = 0.8;
const READING_SECONDS = 2;

let collection = null;
const prepared = new Set();

const sleep = (seconds) => new Promise((resume) => setTimeout(resume, seconds * 1000));
const find = (id) => collection.payment_sessions.find((session) => session.id === id);
// While its authorization is under way, paying otherwise could mean paying twice. Whatever else may be, holds nothing.
const isProcessing = (session) => session.in_progress === "authorize";
const isUnderWay = (session) => session.status === "requires_more" || isProcessing(session);

async function start() {
  collection = await opened();
  // A reload of this page must not authorize once more, so the return address is left behind.
  if (settings.isReturn) history.replaceState(null, "", settings.urls.checkout);
  view.show(collection, acts);
  // Without them, every other card still works.
  const saved = collection.accepts_saved_payment_methods ? await api.savedMethods().catch(() => []) : [];
  view.offer(await api.providers(), saved, (shares) => guarded(() => pay(shares)));
  if (settings.isReturn) await confirm();
  else await comeBack();
  if (await settled()) conclude();
}

// Opens the order at what it costs now, as soon as nothing under way stands against that.
async function opened() {
  for (let poll = 1; ; poll += 1) {
    try {
      return await api.open(settings.reference);
    } catch (error) {
      if (error.code !== "operation_in_progress" || poll === POLLS) throw error;
      view.say("wait", view.text("waiting"), { isTurning: true });
      await sleep(POLL_SECONDS);
      view.hush();
    }
  }
}

// Paying

async function pay(shares) {
  const shown = view.open;
  view.hush();
  await refresh();
  // Another window may have paid, or gone to the bank, since this one was drawn.
  if (view.open !== shown || collection.payment_sessions.some(isUnderWay)) return movedOn();
  await clearAway();
  if (!shares[0].session && nextOfShop()) return conclude();
  for (const share of shares) {
    if (!(await payShare(share))) return;
  }
  await refresh();
  if (await settled()) conclude({ mayLeave: true });
}

async function payShare({ session, provider, amount, data }) {
  if (session) return authorize(session, data);
  const wish = { provider_id: provider, return_url: settings.urls.return };
  if (amount) wish.amount = amount;
  const answer = await api.createSession(collection.id, wish);
  await refresh();
  return (answer.isKnown || (await watch(answer.body.id))) && authorize(answer.body.id, data);
}

// Authorizes a session; returns whether it is known what came of it.
async function authorize(sessionId, data) {
  const answer = await api.authorize(sessionId, data);
  await refresh();
  return answer.isKnown || watch(sessionId);
}

// What was refused or not finished makes room for the next try; what the shop has prepared stays, to be paid itself.
async function clearAway() {
  const stale = collection.payment_sessions.filter((session) => !session.due_at && ["error", "pending"].includes(session.status));
  for (const session of stale) {
    await api.cancel(session.id).catch((error) => {
      if (error.code !== "made_by_shop") throw error;
      prepared.add(session.id);
    });
  }
  if (stale.length) await refresh();
}

// Coming back from a bank. Its webhook mostly is faster than the browser; where it isn't, we authorize again, and the
// provider says what the bank decided.
async function confirm() {
  view.say("wait", view.text("confirming"), { isTurning: true });
  await sleep(WEBHOOK_SECONDS);
  await refresh();
  for (const session of collection.payment_sessions.filter((each) => each.status === "requires_more")) {
    await authorize(session.id);
  }
  view.hush();
}

// An installment was charged while the payer was away, and their bank wants them: now that they are here, it is asked
// again, and says where they have to go.
async function comeBack() {
  const waiting = collection.payment_sessions.filter(({ next_action: action }) => action?.type === "challenge" && !action.url);
  for (const session of waiting) await authorize(session.id);
}

// Waiting

// Waits for what the bank is still checking; returns whether all of it is known now.
async function settled() {
  const waiting = collection.payment_sessions.find(isProcessing);
  return waiting ? watch(waiting.id) : true;
}

// Asks until nothing is under way on a session any more; returns whether that came true in time.
async function watch(sessionId, { text = "waiting", isOpen = () => find(sessionId)?.in_progress } = {}) {
  view.showForm(false);
  view.say("wait", view.text(text), { isTurning: true });
  for (let poll = 0; isOpen() && poll < POLLS; poll += 1) {
    await sleep(POLL_SECONDS);
    await refresh().catch(() => null);
  }
  if (isOpen()) view.say("wait", view.text("stillWaiting"));
  else view.hush();
  return !isOpen();
}

// Draws anew only what is new, so that nobody loses the button that they are about to press; returns whether it is.
async function refresh() {
  const before = JSON.stringify(collection);
  collection = await api.collection(collection.id);
  const isNew = JSON.stringify(collection) !== before;
  if (isNew) view.show(collection, acts);
  return isNew;
}

// Saying how it stands

function conclude({ mayLeave = false } = {}) {
  const sums = view.sums(collection);
  const atBank = collection.payment_sessions.find((session) => session.next_action?.type === "redirect");
  if (mayLeave && atBank) return atBank.due_at ? waitForBank(atBank) : location.assign(atBank.next_action.url);
  if (collection.status === "canceled") return finish("bad", "canceled");
  if (sums.open === 0n) return leave();
  view.showForm(!collection.payment_sessions.some(isUnderWay), nextOfShop());
  return explain(sums);
}

// An installment was planned before anybody had a page to come back to, so its bank gets a tab of its own.
async function waitForBank(session) {
  const isOpen = () => find(session.id)?.in_progress || find(session.id)?.status === "requires_more";
  if (await watch(session.id, { text: "bankTab", isOpen })) conclude();
}

// What the shop has prepared comes first, and then its installments, in their order.
function nextOfShop() {
  const unpaid = collection.payment_sessions.filter((session) => ["pending", "error"].includes(session.status) && (session.due_at || prepared.has(session.id)));
  return unpaid.sort((one, other) => (one.due_at ?? "").localeCompare(other.due_at ?? ""))[0] ?? null;
}

function finish(tone, text) {
  view.showForm(false);
  view.say(tone, view.text(text));
}

function leave() {
  finish("good", "done");
  location.assign(settings.urls.order);
}

function explain(sums) {
  const refused = collection.payment_sessions.filter((session) => session.status === "error").at(-1);
  if (refused) {
    const message = refused.error.message || refused.error.code;
    return view.say("bad", view.text("declined", { name: view.nameOf(refused.provider_id), message }));
  }
  if (view.planned && !view.form.hidden) {
    const { due_at: due } = view.planned;
    return view.say("", due ? view.text("installment", { date: view.date(due) }) : view.text("prepared"));
  }
  if (sums.held > 0n && !view.form.hidden) {
    const words = { held: view.money(sums.held), open: view.money(sums.open) };
    return view.say("wait", view.text(isPartial(sums) ? "partial" : "next", words));
  }
  return null;
}

function isPartial(sums) {
  const authorized = collection.payment_sessions.filter((session) => session.status === "authorized");
  return authorized.length === 1 && authorized[0].amount === collection.amount && sums.open > 0n;
}

// Acting on one part

const acts = {
  drop: (session) => guarded(async () => {
    await refresh();
    // Another window may have paid with it since this one was drawn.
    if (isOver(find(session.id))) return movedOn();
    await api.cancel(session.id);
    await refresh();
    view.hush();
    return conclude();
  }),
};

const isOver = (session) => ["authorized", "canceled"].includes(session?.status);

// Another window of this checkout, or the shop, has gone on meanwhile: shows how things stand now, and says so.
async function movedOn() {
  if (view.open > 0n) return conclude();
  finish("good", "elsewhere");
  await sleep(READING_SECONDS);
  return location.assign(settings.urls.order);
}

// Looks again when the payer comes back to this window: another one may have paid.
async function lookAgain() {
  if (document.hidden || !collection || view.isBusy) return;
  const isNew = await refresh().catch(() => false);
  if (isNew && !view.isBusy) movedOn();
}

async function guarded(work) {
  view.busy(true);
  try {
    await work();
  } catch (error) {
    await report(error);
  } finally {
    view.busy(false);
  }
}

async function report(error) {
  if (collection) await refresh().catch(() => null);
  const inFlight = collection?.payment_sessions.findLast((session) => session.in_progress);
  if (error instanceof ApiError && error.code === "operation_in_progress" && inFlight) {
    if (await watch(inFlight.id)) conclude();
    return;
  }
  const isOffline = !(error instanceof ApiError) || error.status >= 500;
  if (collection && !isOffline && view.open === 0n) return movedOn();
  if (collection) conclude();
  view.say("bad", isOffline ? view.text("offline") : view.text("failed", { message: error.message }));
}

guarded(start);
document.addEventListener("visibilitychange", lookAgain);
window.addEventListener("focus", lookAgain);
