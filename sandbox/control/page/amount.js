// The amounts that people type.

const forms = [
  /^(\d+|[1-9]\d{0,2}(?:\.\d{3})+)(?:,(\d{1,2}))?$/, // 1234,56 and 1.234,56
  /^(\d+|[1-9]\d{0,2}(?:,\d{3})+)(?:\.(\d{1,2}))?$/, // 1234.56 and 1,234.56
];

// parseAmount returns the reais of a text in either language, or null for what is no amount. An
// amount has at most two decimals, so three digits after a point or a comma are thousands.
export function parseAmount(text) {
  for (const form of forms) {
    const [, whole, decimals = '0'] = text.replace(/^\s*R\$/, '').trim().match(form) || [];
    if (whole) return Number(whole.replace(/[.,]/g, '') + '.' + decimals);
  }
  return null;
}
