package integration

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

var shots = flag.String("page.shots", "", "a directory for screenshots of the sandbox's page")

// page is the page of a sandbox in a browser without a window.
type page struct {
	t       *testing.T
	ctx     context.Context
	gateway *sandbox.Sandbox
	client  *connectpsp.Client
	hooks   chan string
	hookURL string
}

func openPage(t *testing.T) *page {
	browser := os.Getenv("CONNECTPSP_TEST_CHROMIUM")
	if browser == "" {
		t.Skip("CONNECTPSP_TEST_CHROMIUM is not set: make page installs a browser")
	}
	gateway, err := sandbox.Start(sandbox.WithSeed(1))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, gateway.Close()) })
	web := httptest.NewServer(control.New(gateway))
	t.Cleanup(web.Close)
	p := &page{t: t, gateway: gateway, hooks: make(chan string, 100)}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.hooks <- string(body)
	}))
	t.Cleanup(receiver.Close)
	p.hookURL = receiver.URL
	config := gateway.Config()
	config.BaseURL = web.URL
	p.client, err = connectpsp.New(config)
	require.NoError(t, err)

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en-US"))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	require.NoError(t, chromedp.Do(tab)) // starts the browser
	var cancel context.CancelFunc
	p.ctx, cancel = context.WithTimeout(tab, 90*time.Second)
	t.Cleanup(cancel)
	p.do(chromedp.EmulateViewport(1100, 800), chromedp.Navigate(web.URL), chromedp.WaitVisible(chromedp.CSS(`[role=tab]`)))
	return p
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	require.NoError(p.t, chromedp.Do(p.ctx, actions...))
}

// is waits until an expression of JavaScript is true.
func (p *page) is(expression string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(20*time.Second)))
	require.NoError(p.t, err, expression)
}

// evaluate returns the value of an expression of JavaScript.
func evaluate[T any](p *page, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	require.NoError(p.t, err, expression)
	return value
}

// shoot makes a screenshot, if asked for.
func (p *page) shoot(name string) {
	if *shots == "" {
		return
	}
	image, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(*shots, name+".png"), image, 0o600))
}

func (p *page) charge(reference, payer string) *connectpsp.CashIn {
	p.t.Helper()
	charge, err := p.client.CreateCashIn(p.t.Context(), connectpsp.CashInRequest{Amount: pix.Centavos(1234_56), ExternalReference: reference,
		WebhookURL: p.hookURL, Payer: connectpsp.Payer{Name: payer, Document: "12345678909"}})
	require.NoError(p.t, err)
	return charge
}

func (p *page) hook() string {
	p.t.Helper()
	select {
	case body := <-p.hooks:
		return body
	case <-time.After(20 * time.Second):
		p.t.Fatal("no webhook came")
		return ""
	}
}

func TestAChargeIsPaidOnThePageByKeyboardAlone(t *testing.T) {
	p := openPage(t)
	p.charge("order-1", "Test User")
	p.is(`document.querySelectorAll('main details').length === 1`)
	// Tab reaches the row, Enter opens it, and Tab reaches the button.
	p.press(kb.Tab, `document.activeElement.tagName === 'SUMMARY'`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.is(`document.querySelector('.qr')?.complete && document.querySelector('.qr').naturalWidth > 100`)
	p.shoot("charge")
	p.press(kb.Tab, `document.activeElement.dataset.action === 'pay'`)
	p.do(chromedp.KeyEvent(kb.Enter))
	assert.Contains(t, p.hook(), "CASHIN_PAID")
	p.is(`document.querySelector('summary .status').textContent === 'PAID'`)
	assert.True(t, evaluate[bool](p, `document.querySelector('details').open && document.activeElement.closest('details') !== null`),
		"what was open stays open, and keeps the focus")
	assert.Contains(t, evaluate[string](p, `document.getElementById('notice').textContent`), "Done: Pay")

	p.do(chromedp.Focus(chromedp.CSS(`#tab-cashIns`)), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
	p.is(`document.activeElement.id === 'tab-deliveries' && document.querySelectorAll('main details').length === 1`)
	p.press(kb.Tab, `document.activeElement.tagName === 'SUMMARY'`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.is(`document.querySelector('pre')?.textContent.includes('CASHIN_PAID')`)
	p.shoot("delivery")
	p.press(kb.Tab, `document.activeElement.dataset.action === 'resend'`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.hook()
}

// press presses a key, up to forty times, until an expression of JavaScript is true.
func (p *page) press(key, until string) {
	p.t.Helper()
	for range 40 {
		p.do(chromedp.KeyEvent(key))
		if evaluate[bool](p, until) {
			return
		}
	}
	p.t.Fatalf("no key press led to: %s", until)
}

func TestWhatUsersWroteIsTextOnThePage(t *testing.T) {
	p := openPage(t)
	const hostile = `<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>`
	p.charge(hostile, hostile)
	p.is(`document.querySelectorAll('main details').length === 1`)
	p.do(chromedp.Click(chromedp.CSS(`summary`)))
	p.is(`document.querySelector('.qr') !== null`)
	assert.Contains(t, evaluate[string](p, `document.querySelector('summary').textContent`), "<img src=x")
	assert.True(t, evaluate[bool](p, `window.stolen === undefined && document.querySelectorAll('main img:not(.qr), main script').length === 0`))
	p.do(chromedp.Click(chromedp.CSS(`#tab-requests`)))
	p.is(`document.querySelectorAll('main details').length > 0`)
	assert.True(t, evaluate[bool](p, `window.stolen === undefined && document.querySelectorAll('main img, main script').length === 0`))
}

func TestAFaultThatIsSetOnThePageBefallsTheNextRequest(t *testing.T) {
	p := openPage(t)
	p.do(chromedp.Click(chromedp.CSS(`#tab-situations`)), chromedp.WaitVisible(chromedp.CSS(`fieldset`)),
		chromedp.SetValue(chromedp.CSS(`fieldset select`), "getBalance"), chromedp.SetValue(chromedp.CSS(`fieldset select ~ select, fieldset label:nth-of-type(2) select`), "Unavailable"),
		chromedp.Click(chromedp.CSS(`fieldset button[type=submit]`)))
	p.is(`document.getElementById('notice').textContent.startsWith('Done')`)
	p.shoot("situations")
	var response connectpsp.RawResponse
	_, err := p.client.GetBalance(t.Context(), connectpsp.WithRawResponse(&response))
	require.NoError(t, err, "the SDK repeats a read")
	assert.Equal(t, sandbox.Unavailable, p.gateway.Requests().ByOperation("getBalance")[0].Fault)
}

// click clicks the button of an action.
func (p *page) click(action string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(`[data-action="` + action + `"]`)))
}

func TestAReturnInPartsShowsItsAmountsOnThePage(t *testing.T) {
	p := openPage(t)
	charge := p.charge("order-1", "Test User")
	require.NoError(t, p.gateway.PayCashIn(charge.TransactionID))
	p.hook()
	p.is(`document.querySelectorAll('main details').length === 1`)
	p.do(chromedp.Click(chromedp.CSS(`summary`)))
	for _, wrong := range []string{"1.23.45", "1 real", "-1", "1e3", "0,001", "12.34.567,00"} {
		p.do(chromedp.SetValue(chromedp.CSS(`form:last-of-type input[name=amount]`), wrong), chromedp.Click(chromedp.CSS(`form:last-of-type button`)))
		p.is(`document.getElementById('notice').textContent.startsWith('This is no amount')`)
		evaluate[bool](p, `document.getElementById('notice').textContent = '' || true`)
	}
	returned, err := p.gateway.Returned(charge.TransactionID)
	require.NoError(t, err)
	assert.True(t, returned.IsZero(), "nothing was sent")
	p.do(chromedp.SetValue(chromedp.CSS(`form:last-of-type input[name=amount]`), "1.000"), chromedp.Click(chromedp.CSS(`form:last-of-type button`)))
	assert.Contains(t, p.hook(), "CASHIN_REFUNDED")
	p.is(`document.querySelector('summary .returned')?.textContent === 'returned R$ 1,000.00'`)
	assert.Contains(t, evaluate[string](p, `document.querySelector('summary .amount').textContent`), "R$ 1,234.56")
	p.shoot("returned")
	p.click("giveBack") // the rest
	p.hook()
	p.is(`document.querySelector('summary .returned')?.textContent === 'returned R$ 1,234.56'`)
	assert.True(t, evaluate[bool](p, `document.querySelector('[data-action=giveBack]') === null`))
}

func TestThePageReadsAmountsAsPeopleTypeThem(t *testing.T) {
	p := openPage(t)
	evaluate[bool](p, `import('/_sandbox/page/amount.js').then((module) => { window.parseAmount = module.parseAmount }) && true`)
	p.is(`window.parseAmount !== undefined`)
	for text, want := range map[string]string{
		"1234.56": "1234.56", "1.234,56": "1234.56", "1,234.56": "1234.56", "1234,5": "1234.5", " R$ 1.234,56 ": "1234.56",
		"1.000": "1000", "1,000": "1000", "12.345.678,90": "12345678.9", "10": "10", "0,01": "0.01", "0": "0",
		"": "null", "x": "null", "-1": "null", "1e3": "null", "1.23.45": "null", "1.2345": "null", "0.500": "null", "1,234,56": "null", "1 000": "null",
	} {
		assert.Equal(t, want, evaluate[string](p, fmt.Sprintf(`String(window.parseAmount(%q))`, text)), "%q", text)
	}
}

func TestThePageOffersToCompleteARefundOnlyIfOneIsUnderWay(t *testing.T) {
	p := openPage(t)
	charge := p.charge("order-1", "Test User")
	require.NoError(t, p.gateway.PayCashIn(charge.TransactionID))
	p.is(`document.querySelector('summary .status')?.textContent === 'PAID'`)
	p.do(chromedp.Click(chromedp.CSS(`summary`)))
	p.is(`document.querySelector('[data-action=giveBack]') !== null`)
	assert.True(t, evaluate[bool](p, `document.querySelector('[data-action=settle]') === null`))
	_, err := p.client.RefundCashIn(t.Context(), charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	require.NoError(t, err)
	p.is(`document.querySelector('[data-action=settle]') !== null && document.querySelector('[data-action=giveBack]') === null`)
	p.click("settle")
	p.is(`document.querySelector('summary .status').textContent === 'REFUNDED'`)
}

func TestTheClockOfThePageRunsInSeconds(t *testing.T) {
	p := openPage(t)
	first := evaluate[string](p, `document.getElementById('fact-clock').textContent`)
	p.is(fmt.Sprintf(`document.getElementById('fact-clock').textContent !== %q`, first))
	require.NoError(t, p.gateway.SetTime(time.Date(2131, 2, 3, 12, 0, 0, 0, time.UTC)))
	p.is(`document.getElementById('fact-clock').textContent.includes('2131')`)
	later := evaluate[string](p, `document.getElementById('fact-clock').textContent`)
	p.is(fmt.Sprintf(`document.getElementById('fact-clock').textContent !== %q`, later))
}

func TestThePageGoesBackInTimeAndMakesANewCryptoToken(t *testing.T) {
	p := openPage(t)
	p.charge("order-1", "Test User")
	p.is(`document.querySelectorAll('main details').length === 1`)
	p.do(chromedp.Click(chromedp.CSS(`#tab-situations`)), chromedp.WaitVisible(chromedp.CSS(`fieldset`)))
	p.click("goBack")
	p.is(`document.getElementById('notice').textContent.startsWith('No state is kept')`)
	p.click("keep")
	p.is(`document.getElementById('notice').textContent.startsWith('Done')`)
	require.NoError(t, p.gateway.Advance(100*time.Hour))
	p.click("goBack")
	p.is(`document.getElementById('notice').textContent === 'Done: Go back to it'`)
	assert.Less(t, time.Until(p.gateway.Now()).Abs(), time.Minute)
	assert.Len(t, p.gateway.CashIns(), 1)

	first := p.gateway.Config().CryptoToken.Reveal()
	p.do(chromedp.Click(chromedp.CSS(`#tab-keys`)), chromedp.WaitVisible(chromedp.CSS(`#env`)))
	p.click("rotate")
	p.is(`document.getElementById('notice').textContent === 'Done: New CryptoToken'`)
	rotated := p.gateway.Config().CryptoToken.Reveal()
	assert.NotEqual(t, first, rotated)
	p.is(`document.getElementById('env')?.textContent.includes('` + rotated + `')`)
	p.shoot("rotated")
	p.do(chromedp.Click(chromedp.CSS(`#tab-situations`)), chromedp.WaitVisible(chromedp.CSS(`fieldset`)))
	p.click("reset")
	p.is(`document.getElementById('notice').textContent === 'Done: Reset everything'`)
	assert.Equal(t, first, p.gateway.Config().CryptoToken.Reveal())
	assert.Empty(t, p.gateway.CashIns())
}

// contrast returns the texts whose contrast is below 4.5, which WCAG 2.1 asks for.
const contrast = `(() => {
	const parse = (color) => (color.match(/[\d.]+/g) || []).map(Number);
	const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const back = (element) => {
		for (let e = element; e; e = e.parentElement) {
			const color = parse(getComputedStyle(e).backgroundColor);
			if (color.length === 3 || color[3] > 0) return color;
		}
		return parse(getComputedStyle(document.documentElement).colorScheme.includes('dark') ? '0,0,0' : '255,255,255');
	};
	return [...document.querySelectorAll('body *')].filter((e) => e.offsetParent && !e.closest('.banner') &&
		[...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())).filter((e) => {
		const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(back(e))].sort((x, y) => y - x);
		return (a + 0.05) / (b + 0.05) < 4.5;
	}).map((e) => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40));
})()`

// unnamed returns what a screen reader has no name for.
const unnamed = `[...document.querySelectorAll('button, input, select, summary, img, [role=tab]')].filter((e) => e.offsetParent &&
	!(e.textContent.trim() || e.getAttribute('aria-label') || e.alt || e.closest('label')?.textContent.trim())).map((e) => e.outerHTML)`

// prefer emulates a system that prefers light or dark.
func prefer(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	})
}

func TestThePageCanBeReadByEverybody(t *testing.T) {
	p := openPage(t)
	payment := func(reference string) {
		_, err := p.client.CreateCashOut(t.Context(), connectpsp.CashOutRequest{Amount: pix.Centavos(50_00), ExternalReference: reference,
			Payee: connectpsp.Payee{Name: "Maria Silva", Document: "12345678909", Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")}})
		require.NoError(t, err)
	}
	charge := p.charge("a-reference-of-a-charge-that-is-quite-long-and-has-no-place-to-break-it-1", "Test User")
	p.charge("order-2", "Test User")
	payment("withdrawal-1")
	require.NoError(t, p.gateway.PayCashIn(charge.TransactionID))
	p.hook()
	assert.Equal(t, "[sandbox] ConnectPSP", evaluate[string](p, `document.title`))
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1100, 360} {
			p.do(chromedp.EmulateViewport(width, 800), prefer(scheme))
			for _, language := range []string{"pt-BR", "en"} {
				p.do(chromedp.Click(chromedp.CSS(`#language`)))
				p.is(`document.documentElement.lang === '` + language + `'`)
				for _, view := range []string{"cashIns", "cashOuts", "deliveries", "requests", "situations", "keys"} {
					p.do(chromedp.Click(chromedp.CSS(`#tab-` + view)))
					p.is(`document.querySelector('#tab-` + view + `').getAttribute('aria-selected') === 'true'`)
					evaluate[bool](p, `document.querySelectorAll('main details').forEach((d) => { d.open = true }) || true`)
					p.is(`document.querySelector('main').childElementCount > 0`)
					where := scheme + " " + language + " " + view
					assert.Empty(t, evaluate[[]string](p, contrast), where)
					assert.Empty(t, evaluate[[]string](p, unnamed), where)
					assert.LessOrEqual(t, evaluate[int64](p, `document.documentElement.scrollWidth`), width, where)
					if language == "pt-BR" {
						p.shoot(scheme + "-" + view + "-" + map[int64]string{1100: "wide", 360: "narrow"}[width])
					}
				}
			}
		}
	}
}
