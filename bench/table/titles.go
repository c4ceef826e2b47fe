package main

import "slices"

// titles are the groups in the order of the table, with their titles.
var titles = [][2]string{
	{"MemoryCashOut", "cash-out in memory"},
	{"MemoryCashIn", "cash-in with QR code, in memory"},
	{"MemoryCashOut64", "cash-out in memory, 64 goroutines"},
	{"MemoryCashIn64", "cash-in with QR code, in memory, 64 goroutines"},
	{"LoopbackCashOut", "cash-out over loopback"},
	{"LoopbackCashIn", "cash-in with QR code, over loopback"},
	{"LoopbackCashOut64", "cash-out over loopback, 64 goroutines"},
	{"LoopbackCashIn64", "cash-in with QR code, over loopback, 64 goroutines"},
	{"Signing", "payment without and with a signature"},
	{"SigningEditor", "signature of a request"},
	{"TokenRead", "reading the token"},
	{"TokenRead64", "reading the token, 64 goroutines"},
	{"WebhookVerify", "webhook: verify"},
	{"WebhookParse", "webhook: verify and decode"},
	{"WebhookHandler", "webhook: receive"},
	{"AmountEncode", "amount to JSON"},
	{"AmountDecode", "amount from JSON"},
	{"AmountUnmarshal", "amount from JSON, its own part"},
	{"IdleClient", "making a client"},
	{binary, "size of a program"},
	{compile, "compiling it, processor time"},
}

// position returns the place of a group in the table: the end if it has no title.
func position(group string) int {
	at := slices.IndexFunc(titles, func(title [2]string) bool { return title[0] == group })
	if at < 0 {
		return len(titles)
	}
	return at
}

func title(group string) string {
	if at := position(group); at < len(titles) {
		return titles[at][1]
	}
	return group
}
