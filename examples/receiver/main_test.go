package main

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"
)

func TestTheTourEndsWell(t *testing.T) {
	for name, database := range map[string]string{"SQLite": "", "PostgreSQL": os.Getenv("CONNECTPSP_TEST_POSTGRES")} {
		t.Run(name, func(t *testing.T) {
			if name == "PostgreSQL" && database == "" {
				t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var out bytes.Buffer
			if err := run(ctx, &out, database); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
		})
	}
}
