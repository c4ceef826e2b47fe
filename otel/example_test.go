package connectpspotel_test

import (
	"context"
	"fmt"
	"log"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// The response to a cash-out is lost, and the client repeats the request.
func Example() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	ctx := context.Background()

	spans := tracetest.NewInMemoryExporter() // yours sends them to a collector
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans))
	observer := connectpspotel.New(connectpspotel.WithTracerProvider(provider), connectpspotel.WithURLTemplate())
	client, err := connectpsp.New(gateway.Config(), connectpsp.WithObserver(observer))
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.FailNext("createCashOut", sandbox.LoseAnswer); err != nil {
		log.Fatal(err)
	}
	_, err = client.CreateCashOut(ctx, connectpsp.CashOutRequest{
		Amount:            pix.Centavos(5000),
		ExternalReference: "withdrawal-42",
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	if err := provider.ForceFlush(ctx); err != nil {
		log.Fatal(err)
	}
	for _, span := range spans.GetSpans() {
		fmt.Println(span.SpanKind, span.Name)
		for _, pair := range span.Attributes {
			switch pair.Key {
			case "error.type", "connectpsp.outcome", "http.request.resend_count":
				fmt.Println("  ", pair.Key, pair.Value.String())
			}
		}
	}
	// Output:
	// client POST /auth/token
	// client POST /cash-out
	//    connectpsp.outcome unknown
	//    error.type connection
	// client POST /cash-out
	//    http.request.resend_count 1
	//    connectpsp.outcome accepted
	// internal connectpsp.createCashOut
	//    connectpsp.outcome accepted
}

// The metrics of a call, through a provider of yours. Without WithMeterProvider it is the global
// one.
func ExampleNew() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	ctx := context.Background()

	reader := sdkmetric.NewManualReader() // yours exports by itself
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	observer := connectpspotel.New(connectpspotel.WithMeterProvider(provider))
	client, err := connectpsp.New(gateway.Config(), connectpsp.WithObserver(observer))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.GetBalance(ctx); err != nil {
		log.Fatal(err)
	}
	var read metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &read); err != nil {
		log.Fatal(err)
	}
	for _, metric := range read.ScopeMetrics[0].Metrics {
		if calls, ok := metric.Data.(metricdata.Sum[int64]); ok && metric.Name == "connectpsp.client.calls" {
			for _, point := range calls.DataPoints {
				if point.Value > 0 {
					fmt.Println(metric.Name, point.Value, point.Attributes.Encoded(attribute.DefaultEncoder()))
				}
			}
		}
	}
	// Output: connectpsp.client.calls 1 operation=getBalance,outcome=accepted
}
