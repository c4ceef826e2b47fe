// Command floor uses the packages of the standard library that a program with the SDK needs anyway.
// Its size and its compile time are compared with those of such a program.
package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
)

func main() {
	body, err := json.Marshal(map[string]string{"externalReference": "order-1"})
	if err != nil {
		slog.Error("encode", "error", err)
		os.Exit(1)
	}
	response, err := http.Post(os.Getenv("CONNECTPSP_BASE_URL"), "application/json", bytes.NewReader(body))
	if err != nil {
		slog.Error("send", "error", err)
		os.Exit(1)
	}
	defer response.Body.Close()
	var payment map[string]any
	if err := json.NewDecoder(response.Body).Decode(&payment); err != nil {
		slog.Error("decode", "error", err)
	}
	slog.Info("paid", "status", response.StatusCode, "transaction", payment["transactionId"])
}
