package main

import (
	"slices"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// The functions of this file hide personal data in what the gateway responds, for people and for
// machines: an output ends up in logs.

func maskDocument(text string) string {
	document, err := pix.ParseDocument(text)
	if err != nil {
		return hidden(text)
	}
	return document.String()
}

func maskKey(t pix.KeyType, text string) string {
	key, err := pix.ParseKey(t, text)
	if err != nil {
		return hidden(text)
	}
	return key.String()
}

// maskAccount leaves the last two characters of the number of an account.
func maskAccount(text string) string {
	if len(text) < 5 {
		return hidden(text)
	}
	return "***" + text[len(text)-2:]
}

func hidden(text string) string {
	if text == "" {
		return ""
	}
	return "***"
}

func maskCashIn(c connectpsp.CashIn) connectpsp.CashIn {
	c.Payer.Name, c.Payer.Document = pix.MaskName(c.Payer.Name), maskDocument(c.Payer.Document)
	if c.Payer.BankData != nil {
		data := *c.Payer.BankData
		data.Account = maskAccount(data.Account)
		c.Payer.BankData = &data
	}
	return c
}

func maskCashOut(c connectpsp.CashOut) connectpsp.CashOut {
	c.Payee.Name, c.Payee.Document = pix.MaskName(c.Payee.Name), maskDocument(c.Payee.Document)
	to := &c.Payee.Destination
	to.PIXKey = maskKey(to.PIXKeyType, to.PIXKey)
	if to.BankAccount != nil {
		account := *to.BankAccount
		account.Account = maskAccount(account.Account)
		to.BankAccount = &account
	}
	if c.Failure != nil {
		c.Failure = &connectpsp.Failure{Code: c.Failure.Code} // the message may name the payee
	}
	c.Description = ""
	return c
}

func maskBalance(b connectpsp.Balance) connectpsp.Balance {
	b.Banks = slices.Clone(b.Banks)
	for i := range b.Banks {
		accounts := &b.Banks[i].Accounts
		accounts.Transactional.Account = maskAccount(accounts.Transactional.Account)
		accounts.Proprietary.Account = maskAccount(accounts.Proprietary.Account)
	}
	return b
}

// person names a payer or a payee.
func person(name, document string) string { return joined(pix.MaskName(name), maskDocument(document)) }

// destination names a PIX key or an account.
func destination(to connectpsp.Destination) string {
	if account := to.BankAccount; account != nil {
		return joined("bank", account.ISPB, "branch", account.Branch, "account", maskAccount(account.Account))
	}
	if to.PIXKey == "" {
		return ""
	}
	return joined(string(to.PIXKeyType), "key", maskKey(to.PIXKeyType, to.PIXKey))
}
