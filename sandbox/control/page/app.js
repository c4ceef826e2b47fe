// The page of the sandbox. It shows the state that the sandbox sends, and acts through its API. All
// that users wrote becomes text nodes, never HTML.
import { parseAmount } from './amount.js';
import { texts } from './texts.js';

const api = '/_sandbox/v1';
const operations = ['createCashIn', 'getCashIn', 'refundCashIn', 'createCashOut', 'getCashOut', 'getBalance', 'rebalanceAccount', 'authToken'];
const events = ['CASHIN_PAID', 'CASHIN_REFUNDED', 'CASHOUT_COMPLETED', 'CASHOUT_FAILED', 'CASHOUT_REFUNDED'];
const requestFaults = ['LoseRequest', 'LoseAnswer', 'CutAnswer', 'Unavailable', 'UnavailableAfterExecution', 'Hang', 'HangAfterExecution', 'BrokenJSON', 'OtherAnswer', 'TooManyRequests'];
const webhookFaults = ['LoseWebhook', 'HoldWebhook', 'DoubleWebhook', 'PreviousSignature'];

let language = localStorage.getItem('language') || (navigator.language.startsWith('pt') ? 'pt' : 'en');
let view = 'cashIns';
let state = null;
let kept = null; // a snapshot to go back to
const qrCodes = new Map(); // by id of the charge

const t = (key) => texts[language][key];
const byId = (id) => document.getElementById(id);

// el makes an element. A property that begins with "on" is a listener, others are attributes.
function el(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const money = (amount) => 'R$ ' + Number(amount).toLocaleString(language === 'pt' ? 'pt-BR' : 'en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const moment = (time) => new Date(time).toLocaleString(language === 'pt' ? 'pt-BR' : 'en-GB');

function notify(text, bad) {
  const notice = byId('notice');
  notice.textContent = text;
  notice.className = bad ? 'bad' : '';
}

async function call(method, path, body) {
  const response = await fetch(api + path, {
    method, headers: body ? { 'Content-Type': 'application/json' } : {}, body: body && JSON.stringify(body),
  });
  const data = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(data.error);
  return data;
}

// act calls the API and says how it went.
async function act(label, path, body) {
  return attempt(label, () => call('POST', path, body));
}

// attempt makes calls and says how they went.
async function attempt(label, calls) {
  try {
    await calls();
    notify(t('done') + label);
  } catch (error) {
    notify(error.message, true);
  }
}

const button = (key, path, body, main) =>
  el('button', { type: 'button', class: main ? 'main' : undefined, 'data-action': key, onclick: () => act(t(key), path, typeof body === 'function' ? body() : body) }, t(key));

const tones = {
  PAID: 'good', COMPLETED: 'good', AWAITING_PAYMENT: 'warn', PROCESSING: 'warn', REFUNDED: 'warn', FAILED: 'bad', EXPIRED: 'bad', CANCELLED: 'bad',
};

function pairs(object, prefix = '') {
  return Object.entries(object).flatMap(([name, value]) => {
    if (value === null || typeof value !== 'object') return [[prefix + name, String(value)]];
    return pairs(value, prefix + name + '.');
  });
}

const list = (entries) => el('dl', null, ...entries.flatMap(([name, value]) => [el('dt', null, name), el('dd', null, value)]));

// row makes a row that opens. The content is made when it is open.
function row(key, summary, content) {
  const details = el('details', { 'data-key': key }, el('summary', null, ...summary));
  const fill = () => {
    if (details.open && details.childElementCount === 1) details.append(content());
  };
  details.addEventListener('toggle', fill);
  details.fill = fill;
  return el('li', null, details);
}

const amountInput = (value) => el('input', { name: 'amount', inputmode: 'decimal', size: 10, required: true, value });

// amountOfInput returns the amount that someone typed. Without one it throws, and nothing is sent.
function amountOfInput(input) {
  const amount = parseAmount(input.value);
  if (amount === null) throw new Error(t('noAmount'));
  return amount;
}

function amountForm(key, path, value, extra) {
  const amount = amountInput(value);
  const fields = extra ? extra() : [];
  const form = el('form', {
    onsubmit: (event) => {
      event.preventDefault();
      attempt(t(key), () => {
        const body = { amount: amountOfInput(amount) };
        for (const { input, put } of fields) put(body, input.value);
        return call('POST', path, body);
      });
    },
  }, el('fieldset', null, el('legend', null, t(key)), el('label', null, t('amount'), amount),
    ...fields.map(({ label, input }) => el('label', null, label, input)), el('button', { type: 'submit' }, t(key))));
  return form;
}

const payerFields = () => {
  const put = (member) => (body, value) => {
    if (value) body.payer = { ...body.payer, [member]: value };
  };
  const putBank = (member) => (body, value) => {
    if (value) body.payer = { ...body.payer, bankData: { ...body.payer?.bankData, [member]: value } };
  };
  return [
    { label: t('name'), input: el('input', { name: 'payerName' }), put: put('name') },
    { label: t('document'), input: el('input', { name: 'payerDocument', inputmode: 'numeric' }), put: put('document') },
    { label: 'ISPB', input: el('input', { name: 'payerISPB', inputmode: 'numeric', size: 9 }), put: putBank('ispb') },
    { label: t('account'), input: el('input', { name: 'payerAccount', size: 10 }), put: putBank('account') },
  ];
};

// left is how much of a payment has not been returned.
const left = (transaction) => Math.round(100 * (transaction.amount - (transaction.returnedAmount || 0))) / 100;

// amountOf shows the amount of a transaction and how much of it has been returned.
const amountOf = (transaction) => el('span', { class: 'amount' }, money(transaction.amount),
  transaction.returnedAmount && el('span', { class: 'returned' }, t('returned') + ' ' + money(transaction.returnedAmount)));

function failForm(path) {
  const code = el('input', { name: 'code', value: 'PIX_KEY_NOT_FOUND', size: 22, required: true });
  return el('form', { onsubmit: (event) => { event.preventDefault(); act(t('failWith'), path, { code: code.value }); } },
    el('fieldset', null, el('legend', null, t('failWith')), el('label', null, t('code'), code), el('button', { type: 'submit' }, t('fail'))));
}

function qrCode(id) {
  const place = el('div', null);
  const show = (data) => place.append(
    el('img', { class: 'qr', alt: t('showQR'), src: 'data:image/png;base64,' + data.qrCodeImageBase64 }),
    el('pre', null, data.copyAndPaste),
    el('button', { type: 'button', onclick: () => navigator.clipboard.writeText(data.copyAndPaste).then(() => notify(t('copied'))) }, t('copy')));
  if (qrCodes.has(id)) show(qrCodes.get(id));
  else call('GET', '/cash-ins/' + encodeURIComponent(id) + '/qr-code').then((data) => { qrCodes.set(id, data); show(data); }, (error) => notify(error.message, true));
  return place;
}

function cashInRow(charge) {
  const id = charge.transactionId;
  const path = '/cash-ins/' + encodeURIComponent(id);
  const paid = ['PAID', 'REFUNDED'].includes(charge.status) && !charge.refundUnderWay;
  const returnable = paid && left(charge) > 0;
  return row('in ' + id, [
    el('span', { class: 'status ' + (tones[charge.status] || '') }, charge.status), amountOf(charge),
    el('span', { class: 'id' }, charge.externalReference), el('span', null, charge.payer.name),
  ], () => el('div', { class: 'body' }, list(pairs(charge)),
    el('div', { class: 'actions' },
      charge.status === 'AWAITING_PAYMENT' && button('pay', path + '/pay', undefined, true),
      charge.status === 'AWAITING_PAYMENT' && button('expire', path + '/expire'),
      charge.status === 'AWAITING_PAYMENT' && button('cancel', path + '/cancel'),
      ['EXPIRED', 'CANCELLED'].includes(charge.status) && button('payLate', path + '/pay'),
      paid && button('payAgain', path + '/pay'),
      charge.refundUnderWay && button('settle', path + '/settle-refund', undefined, true),
      returnable && button('giveBack', path + '/return'),
      button('resend', '/transactions/' + encodeURIComponent(id) + '/redeliver'),
      button('resendFive', '/transactions/' + encodeURIComponent(id) + '/redeliver', { times: 5 })),
    !charge.refundUnderWay && amountForm('payOther', path + '/pay', charge.amount, payerFields),
    returnable && amountForm('returnPart', path + '/return'),
    charge.status === 'AWAITING_PAYMENT' && qrCode(id)));
}

function cashOutRow(payment) {
  const id = payment.transactionId;
  const path = '/cash-outs/' + encodeURIComponent(id);
  const returnable = ['COMPLETED', 'REFUNDED'].includes(payment.status) && left(payment) > 0;
  return row('out ' + id, [
    el('span', { class: 'status ' + (tones[payment.status] || '') }, payment.status), amountOf(payment),
    el('span', { class: 'id' }, payment.externalReference), el('span', null, payment.payee.name),
  ], () => el('div', { class: 'body' }, list(pairs(payment)),
    el('div', { class: 'actions' },
      payment.status === 'PROCESSING' && button('complete', path + '/complete', undefined, true),
      payment.status === 'PROCESSING' && button('fail', path + '/fail'),
      payment.status === 'PROCESSING' && button('cancel', path + '/cancel'),
      returnable && button('giveBack', path + '/return'),
      ['COMPLETED', 'FAILED', 'CANCELLED'].includes(payment.status) && button('contradict', path + '/contradict'),
      button('resend', '/transactions/' + encodeURIComponent(id) + '/redeliver'),
      button('resendFive', '/transactions/' + encodeURIComponent(id) + '/redeliver', { times: 5 })),
    payment.status === 'PROCESSING' && failForm(path + '/fail'),
    returnable && amountForm('returnPart', path + '/return')));
}

function deliveryRow(delivery, n) {
  const ok = delivery.statusCode === 200;
  return row('delivery ' + (delivery.eventId || n), [
    el('span', { class: 'status ' + (ok ? 'good' : 'bad') }, delivery.statusCode ? String(delivery.statusCode) : t('held')),
    el('span', null, t('attempt') + ' ' + delivery.attempt), el('span', { class: 'id' }, delivery.eventType), el('span', null, moment(delivery.time)),
  ], () => el('div', { class: 'body' },
    list([['transactionId', delivery.transactionId], ['url', delivery.url], ...(delivery.error ? [['error', delivery.error]] : []), ...Object.entries(delivery.header || {})]),
    el('pre', null, delivery.body || ''),
    el('div', { class: 'actions' }, button('resend', '/transactions/' + encodeURIComponent(delivery.transactionId) + '/redeliver'))));
}

function requestRow(request, n) {
  return row('request ' + n + request.time, [
    el('span', { class: 'status ' + (request.statusCode >= 200 && request.statusCode < 300 ? 'good' : 'bad') }, String(request.statusCode || request.fault || '–')),
    el('span', null, request.method), el('span', { class: 'id' }, request.path), el('span', null, moment(request.time)),
  ], () => el('div', { class: 'body' }, el('pre', null, request.text)));
}

function rows(elements, make, empty) {
  if (elements.length === 0) return el('p', { class: 'empty' }, t(empty));
  return el('ul', { class: 'rows' }, ...elements.map(make).reverse());
}

function panel(key, hint, fields, submit, buttonKey) {
  return el('form', { onsubmit: (event) => { event.preventDefault(); submit(); } },
    el('fieldset', null, el('legend', null, t(key)), ...fields.map(([label, input]) => el('label', null, t(label), input)),
      el('button', { type: 'submit' }, t(buttonKey || 'apply')), el('p', { class: 'hint' }, t(hint))));
}

const select = (groups) => el('select', null, ...groups.flat().map((value) => el('option', null, value)));

// choice is a select whose texts are translated.
const choice = (keys) => el('select', null, ...keys.map((key) => el('option', { value: key }, t(key))));

// panelOf is a panel without fields.
const panelOf = (key, hint, ...buttons) =>
  el('fieldset', null, el('legend', null, t(key)), ...buttons, el('p', { class: 'hint' }, t(hint)));

const does = (key, calls) => el('button', { type: 'button', 'data-action': key, onclick: () => attempt(t(key), calls) }, t(key));

// lifetimes of idempotency keys in seconds.
const lifetimes = { forEver: 0, twentyMinutes: 1200, oneDay: 86400 };
const number = (value) => el('input', { type: 'number', min: 0, step: 'any', required: true, value, size: 6 });

function situations() {
  const operation = select([operations, events]);
  const fault = select([requestFaults]);
  operation.addEventListener('change', () =>
    fault.replaceChildren(...(events.includes(operation.value) ? webhookFaults : requestFaults).map((value) => el('option', null, value))));
  const when = choice(['next', 'every', 'probability']);
  const times = number(1);
  const setFault = () => {
    const on = { operation: operation.value, fault: fault.value };
    const amount = Number(times.value);
    if (when.value === 'every') return act(t('faults'), '/faults/every', { ...on, n: amount });
    if (when.value === 'probability') return act(t('faults'), '/faults/probability', { ...on, probability: amount });
    return act(t('faults'), '/faults', { operation: on.operation, faults: Array(Math.min(Math.round(amount), 1000)).fill(on.fault) });
  };
  const refused = select([operations]);
  const status = number(422);
  const code = el('input', { value: 'LIMIT_EXCEEDED', size: 18 });
  const latency = number(0);
  const perSecond = number(0);
  const burst = number(0);
  const hours = number(1);
  const lifetime = choice(Object.keys(lifetimes));
  const references = choice(['refused', 'accepted']);
  const repeated = choice(['repeated', 'executed']);
  const transactional = amountInput(state.transactionalBalance);
  const proprietary = amountInput(state.proprietaryBalance);
  const url = el('input', { type: 'url', required: true, placeholder: location.protocol + '//127.0.0.1:3000/hooks', size: 28 });
  const body = el('textarea', { required: true, rows: 3, cols: 40 }, '{"eventType":"OTHER"}');
  return el('div', null,
    panel('faults', 'faultHint', [['operation', operation], ['fault', fault], ['when', when], ['times', times]], setFault),
    panel('refusal', 'refusalHint', [['operation', refused], ['status', status], ['code', code]],
      () => act(t('refusal'), '/refusals', { operation: refused.value, status: Number(status.value), code: code.value })),
    panel('speed', 'speedHint', [['latency', latency], ['perSecond', perSecond], ['burst', burst]], () => attempt(t('speed'), async () => {
      await call('POST', '/latency', { milliseconds: Number(latency.value) });
      await call('POST', '/rate-limit', { perSecond: Number(perSecond.value), burst: Number(burst.value) });
    })),
    panel('time', 'timeHint', [['hours', hours]], () => act(t('advance'), '/clock/advance', { seconds: Math.round(Number(hours.value) * 3600) }), 'advance'),
    panelOf('back', 'backHint',
      does('keep', async () => { kept = await call('GET', '/snapshot'); }),
      does('goBack', async () => {
        if (!kept) throw new Error(t('nothingKept'));
        await call('POST', '/restore', kept);
      }),
      does('reset', () => call('POST', '/reset'))),
    panel('idempotency', 'idempotencyHint', [['lifetime', lifetime], ['references', references], ['refusals', repeated]], () => attempt(t('idempotency'), async () => {
      await call('POST', '/keys/lifetime', { seconds: lifetimes[lifetime.value] });
      await call('POST', '/references', { unique: references.value === 'refused' });
      await call('POST', '/refusals/repeated', { repeated: repeated.value === 'repeated' });
    })),
    panel('balances', 'balancesHint', [['transactional', transactional], ['proprietary', proprietary]],
      () => attempt(t('balances'), () => call('POST', '/balances', {
        transactionalBalance: amountOfInput(transactional), proprietaryBalance: amountOfInput(proprietary),
      }))),
    panel('anyWebhook', 'anyWebhookHint', [['url', url], ['body', body]], () => attempt(t('anyWebhook'), () => {
      let content = body.value; // a text that is no JSON is sent as a JSON string
      try { content = JSON.parse(content); } catch { /* see above */ }
      return call('POST', '/webhooks/send', { url: url.value, body: content });
    }), 'send'),
    panelOf('more', 'moreHint', button('release', '/webhooks/release'), button('releaseReverse', '/webhooks/release', { reverse: true }),
      button('clearFaults', '/faults/clear'), button('revoke', '/tokens/revoke'), button('forget', '/keys/forget'), button('rotate', '/crypto-token/rotate')));
}

function keys() {
  const place = el('div', null, el('p', { class: 'empty' }, t('keysHint')));
  call('GET', '/credentials').then((values) => {
    const env = Object.entries(values).map(([name, value]) => name + '=' + value).join('\n');
    place.append(el('h2', null, t('asEnv')), el('pre', { id: 'env' }, env),
      el('div', { class: 'actions' },
        el('button', { type: 'button', onclick: () => navigator.clipboard.writeText(env).then(() => notify(t('copied'))) }, t('copy')),
        does('rotate', async () => {
          await call('POST', '/crypto-token/rotate');
          place.replaceWith(keys());
        })),
      el('p', { class: 'hint' }, t('rotateHint')));
  }, (error) => notify(error.message, true));
  return place;
}

const views = {
  cashIns: () => rows(state.cashIns, cashInRow, 'noCashIns'),
  cashOuts: () => rows(state.cashOuts, cashOutRow, 'noCashOuts'),
  deliveries: () => rows(state.deliveries, deliveryRow, 'noDeliveries'),
  requests: () => rows(state.requests, requestRow, 'noRequests'),
  situations, keys,
};
const lists = ['cashIns', 'cashOuts', 'deliveries', 'requests'];

function makeTabs() {
  byId('tabs').replaceChildren(...Object.keys(views).map((name) => el('button', {
    type: 'button', role: 'tab', id: 'tab-' + name, 'aria-controls': 'main', onclick: () => choose(name),
    onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const names = Object.keys(views);
      choose(names[(names.indexOf(name) + step + names.length) % names.length]);
      byId('tab-' + view).focus();
    },
  }, el('span', null), el('span', { class: 'count' }))));
}

// showTabs changes the texts only: a tab that someone is about to click stays where it is.
function showTabs() {
  for (const name of Object.keys(views)) {
    const tab = byId('tab-' + name);
    tab.firstChild.textContent = t(name);
    tab.lastChild.textContent = lists.includes(name) ? ' ' + state[name].length : '';
    tab.setAttribute('aria-selected', name === view);
    tab.tabIndex = name === view ? 0 : -1;
  }
}

function choose(name) {
  view = name;
  shown = '';
  notify('');
  show();
}

// showMain shows the view anew, and keeps what is open, what is typed and where the focus is.
function showMain() {
  const main = byId('main');
  const open = new Set([...main.querySelectorAll('details[open]')].map((details) => details.dataset.key));
  const key = document.activeElement?.closest('details')?.dataset.key;
  const action = document.activeElement?.dataset?.action;
  main.setAttribute('aria-labelledby', 'tab-' + view);
  main.replaceChildren(views[view]());
  for (const details of main.querySelectorAll('details')) {
    if (open.has(details.dataset.key)) {
      details.open = true;
      details.fill();
    }
    if (key !== undefined && details.dataset.key === key) {
      (details.querySelector('[data-action="' + action + '"]') || details.querySelector('summary')).focus();
    }
  }
}

function showFacts() {
  const facts = [['clock', moment(state.now)], ['transactional', money(state.transactionalBalance)], ['proprietary', money(state.proprietaryBalance)]];
  byId('facts').replaceChildren(...facts.map(([name, value]) => el('div', null, el('dt', null, t(name)), el('dd', { id: 'fact-' + name }, value))));
}

function showTexts() {
  document.documentElement.lang = language === 'pt' ? 'pt-BR' : 'en';
  for (const element of document.querySelectorAll('[data-text]')) element.textContent = t(element.dataset.text);
  byId('language').textContent = t('language');
}

let shown = '';
function show() {
  showTexts();
  if (!state) return;
  showFacts();
  showTabs();
  // A form that someone fills in stays, and a view without a list does not depend on the state.
  const typing = byId('main').contains(document.activeElement) && ['INPUT', 'SELECT', 'TEXTAREA'].includes(document.activeElement.tagName);
  const now = language + view + (lists.includes(view) ? JSON.stringify(state[view]) : '');
  if (now !== shown && !typing) {
    shown = now;
    showMain();
  }
}

byId('language').addEventListener('click', () => {
  language = language === 'pt' ? 'en' : 'pt';
  localStorage.setItem('language', language);
  show();
});

makeTabs();
const source = new EventSource(api + '/events');
source.addEventListener('message', (event) => {
  state = JSON.parse(event.data);
  if (byId('notice').textContent === t('lost')) notify('');
  show();
});
source.addEventListener('clock', (event) => {
  state.now = event.data;
  byId('fact-clock').textContent = moment(state.now);
});
source.addEventListener('error', () => notify(t('lost'), true));
show();
