package auth

import (
	"testing"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// problem is the body of a refusal. The fields of [Error] hold it.
type problem struct {
	Type   string `json:"type,omitzero"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitzero"`
}

func TestTheRequestForATokenIsTheDescriptions(t *testing.T) {
	contract.Compare(t, []contract.Traffic{{
		Operation: "POST /auth/token", Public: true, Request: tokenRequest{}, Answer: tokenAnswer{}, Problem: problem{},
	}}, nil)
}
