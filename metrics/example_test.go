package metrics_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// A service makes a charge, and Prometheus reads what it counted.
func Example() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()

	m := metrics.New()
	client, err := connectpsp.New(gateway.Config(), connectpsp.WithObserver(m))
	if err != nil {
		log.Fatal(err)
	}
	m.WatchPayments(client)
	server := httptest.NewServer(m) // mux.Handle("GET /metrics", m)
	defer server.Close()

	_, err = client.CreateCashIn(context.Background(), connectpsp.CashInRequest{
		Amount:            pix.Centavos(1050),
		ExternalReference: "order-1",
		Payer:             connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	})
	if err != nil {
		log.Fatal(err)
	}

	response, err := http.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `operation="createCashIn",outcome=`) || strings.HasPrefix(line, "connectpsp_payments") {
			fmt.Print(line)
		}
	}
	// Output:
	// connectpsp_client_calls_total{operation="createCashIn",outcome="accepted"} 1
	// connectpsp_client_calls_total{operation="createCashIn",outcome="invalid"} 0
	// connectpsp_client_calls_total{operation="createCashIn",outcome="not_sent"} 0
	// connectpsp_client_calls_total{operation="createCashIn",outcome="rejected"} 0
	// connectpsp_client_calls_total{operation="createCashIn",outcome="unknown"} 0
	// connectpsp_client_calls_total{operation="createCashIn",outcome="failed"} 0
	// connectpsp_client_calls_total{operation="createCashIn",outcome="settled"} 0
	// connectpsp_payments_open{state="begun"} 0
	// connectpsp_payments_open{state="sent"} 0
	// connectpsp_payments_oldest_age_seconds 0
	// connectpsp_payments_overdue 0
}

func ExampleNew() {
	m := metrics.New()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	fmt.Println(w.Code, strings.Contains(w.Body.String(), "# TYPE connectpsp_client_calls_total counter"))
	// Output: 200 true
}
