package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/pix"
)

func (a *app) brcode() *cobra.Command {
	return family("brcode", "Read and write the text of a PIX QR code", "brcode decode < code.txt", a.brcodeDecode(), a.brcodeEncode())
}

func (a *app) brcodeDecode() *cobra.Command {
	command := leaf("decode", "Check a code from stdin and show what it says", "brcode decode < code.txt\nbrcode decode --json < code.txt",
		func(context.Context, []string) error {
			text, err := a.readFile("stdin", "-")
			if err != nil {
				return err
			}
			code, err := pix.ParseBRCode(string(text))
			if err != nil {
				return &rejectedError{err}
			}
			return a.printBRCode(code)
		})
	command.Long = `Check the text of a QR code ("PIX Copia e Cola") from stdin, and show what it says. The exit
status is 3 if it is not a valid code. A key is shown masked. The merchant's name and city and the
description are shown as they are, because a payer compares them: do not log the output if the
merchant is a person.

To read a code that stands in a shell's variable, or to make a file with one:
  printf %s "$CODE" | connectpsp brcode decode
  connectpsp brcode encode --name 'Loja Exemplo' --city 'Sao Paulo' \
    --key-type EVP --key 123e4567-e89b-12d3-a456-426614174000 > code.txt`
	return command
}

// brcodeResult is the JSON of a code.
type brcodeResult struct {
	Kind             string     `json:"kind"` // static or dynamic
	URL              string     `json:"url,omitzero"`
	Key              string     `json:"key,omitzero"` // masked
	Description      string     `json:"description,omitzero"`
	Amount           pix.Amount `json:"amount,omitzero"`
	MerchantName     string     `json:"merchantName"`
	MerchantCity     string     `json:"merchantCity"`
	PostalCode       string     `json:"postalCode,omitzero"`
	MerchantCategory string     `json:"merchantCategory,omitzero"`
	TxID             string     `json:"txId,omitzero"`
	SingleUse        bool       `json:"singleUse"`
}

func (a *app) printBRCode(code pix.BRCode) error {
	r := brcodeResult{"dynamic", code.URL, maskAnyKey(code.Key), code.Description, code.Amount, code.MerchantName, code.MerchantCity,
		code.PostalCode, code.MerchantCategory, code.TxID, code.SingleUse}
	once := ""
	if code.Key != "" {
		r.Kind = "static"
	}
	if code.SingleUse {
		once = "can be paid once"
	}
	return a.print(r, row{"checksum", "right"}, row{"kind", r.Kind}, row{"url", r.URL}, row{"key", r.Key}, row{"amount", amountOf(r.Amount)},
		row{"merchant", r.MerchantName}, row{"city", r.MerchantCity}, row{"postal code", r.PostalCode}, row{"category", r.MerchantCategory},
		row{"description", r.Description}, row{"txid", r.TxID}, row{"use", once})
}

// maskAnyKey masks a key whose type a code does not tell.
func maskAnyKey(text string) string {
	for _, t := range []pix.KeyType{pix.KeyTypeEVP, pix.KeyTypeEmail, pix.KeyTypePhone, pix.KeyTypeCPF, pix.KeyTypeCNPJ} {
		if key, err := pix.ParseKey(t, text); err == nil {
			return key.String()
		}
	}
	return hidden(text)
}

func (a *app) brcodeEncode() *cobra.Command {
	var code pix.BRCode
	var keyType, key, amount string
	command := leaf("encode", "Write a code and draw it",
		"brcode encode --key-type EVP --key 123e4567-e89b-12d3-a456-426614174000 --name 'Loja Exemplo' --city 'Sao Paulo' --amount 10.50",
		func(context.Context, []string) error {
			if err := completeBRCode(&code, keyType, key, amount); err != nil {
				return err
			}
			text, err := code.Encode()
			if err != nil {
				return usage("%v", err)
			}
			if a.json {
				return a.printJSON(encodeResult{text})
			}
			if err := drawQR(a.stdout, text, a.columns); err != nil {
				return written(err)
			}
			_, err = fmt.Fprintln(a.stdout, text)
			return written(err)
		})
	flags := command.Flags()
	flags.StringVar(&keyType, "key-type", "", "the `TYPE` of the key: CPF, CNPJ, EMAIL, PHONE or EVP")
	flags.StringVar(&key, "key", "", "the PIX key of a static code")
	flags.StringVar(&code.URL, "url", "", "the `URL` of a dynamic code, without https://")
	flags.StringVar(&code.MerchantName, "name", "", "the name of the receiver, up to 25 bytes")
	flags.StringVar(&code.MerchantCity, "city", "", "the city of the receiver, up to 15 bytes")
	flags.StringVar(&amount, "amount", "", "the amount in `REAIS`, such as 10.50; without it the payer chooses")
	flags.StringVar(&code.TxID, "txid", "", "the `ID` of the payment, up to 25 letters and digits")
	flags.StringVar(&code.Description, "description", "", "a text for the payer")
	flags.StringVar(&code.PostalCode, "postal-code", "", "the postal code")
	flags.StringVar(&code.MerchantCategory, "category", "", "the four digits of the merchant category")
	flags.BoolVar(&code.SingleUse, "single-use", false, "the code must not be paid twice")
	return required(command, "name", "city")
}

// encodeResult is the JSON of a code that was written.
type encodeResult struct {
	BRCode string `json:"brCode"`
}

func completeBRCode(code *pix.BRCode, keyType, key, amount string) (err error) {
	if key != "" || keyType != "" {
		parsed, err := pix.ParseKey(pix.KeyType(keyType), key)
		if err != nil {
			return usage("--key and --key-type: %v", err)
		}
		code.Key = parsed.Text()
	}
	if amount != "" {
		if code.Amount, err = parseAmount("--amount", amount); err != nil {
			return err
		}
	}
	return nil
}
