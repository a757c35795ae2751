// A guest pays, and an operator captures and refunds, with the client that was generated from docs/openapi.yaml.

import { createClient } from "./client/client/index.js";
import {
  authorizePaymentSession,
  createPaymentSession,
  getPaymentCollection,
  openPaymentCollection,
  staffCapturePayment,
  staffGetPaymentCollection,
  staffRefundPayment,
} from "./client/index.js";

export async function mainJob(site: string, reference: string, session: string, csrf: string) {
  const baseUrl = `${site}/payments`;
  const throwOnError = true;
  const { data: opened } = await openPaymentCollection({
    client: createClient({ baseUrl }),
    body: { reference },
    throwOnError,
  });

  const guest = createClient({ baseUrl, headers: { "Payment-Client-Secret": opened.client_secret } });
  const { data: created } = await createPaymentSession({
    client: guest,
    path: { collection_id: opened.id },
    body: { provider_id: "system" },
    headers: { "Idempotency-Key": "press-1" },
    throwOnError,
  });
  const { data: authorized } = await authorizePaymentSession({
    client: guest,
    path: { session_id: created.id },
    body: {},
    throwOnError,
  });
  const { data: seen } = await getPaymentCollection({
    client: guest,
    path: { collection_id: opened.id },
    throwOnError,
  });

  const cookies = `sessionid=${session}; csrftoken=${csrf}`;
  const operator = createClient({ baseUrl, headers: { Cookie: cookies, "X-CSRFToken": csrf } });
  const { data: collection } = await staffGetPaymentCollection({
    client: operator,
    path: { collection_id: opened.id },
    throwOnError,
  });
  const payment = collection.payments?.[0]?.id ?? "";
  const path = { payment_id: payment };
  const { data: captured } = await staffCapturePayment({
    client: operator,
    path,
    body: { amount: "60.00" },
    throwOnError,
  });
  const { data: refunded } = await staffRefundPayment({
    client: operator,
    path,
    body: { amount: "15.00", note: "A dent in the lid." },
    throwOnError,
  });
  const { error } = await staffRefundPayment({ client: operator, path, body: { amount: "100.00" } });

  return {
    authorized: [authorized.status, authorized.in_progress],
    seen: [seen.status, seen.authorized_amount],
    captured: [captured.status, captured.captured_amount],
    refunded: [refunded.refunded_amount, refunded.refunds?.[0]?.note],
    refused: [error?.type, error?.errors[0]?.field],
  };
}
