// Amounts are strings in major units ("10.00"), as the API writes them. Arithmetic is done in whole minor units, as
// BigInt: a JavaScript number would round.

export function decimalsOf(amount) {
  return (amount.split(".")[1] ?? "").length;
}

export function toUnits(amount, decimals) {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(amount.trim().replace(",", "."));
  const fraction = match?.[2] ?? "";
  if (!match || fraction.length > decimals) return null;
  return BigInt(match[1] + fraction.padEnd(decimals, "0"));
}

export function fromUnits(units, decimals) {
  const digits = units.toString().padStart(decimals + 1, "0");
  return decimals ? `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}` : digits;
}

export function display(amount, currency, locale) {
  const decimals = decimalsOf(amount);
  const numbers = new Intl.NumberFormat(locale, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return `${numbers.format(amount)} ${currency.toUpperCase()}`;
}
