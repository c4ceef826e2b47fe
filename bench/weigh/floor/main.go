// Command floor is what a program that imports the SDK is compared with, for its size and for the time to compile it: it uses
// the packages of the standard library that such a program would need anyway.
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
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		slog.Error("decode", "error", err)
	}
	slog.Info("answered", "status", response.StatusCode, "transaction", answer["transactionId"])
}
