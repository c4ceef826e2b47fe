package readme

import "github.com/connectpsp/connectpsp-go/connectpsp"

// words are the same in both languages.
type words struct{ en, pt string }

// Who acts on an error.
var (
	you     = words{"you", "você"}
	gateway = words{"the gateway, or the network: the SDK repeats the call, and you wait", "o gateway, ou a rede: o SDK repete a chamada, e você espera"}
	payer   = words{"the payer", "o pagador"}
	person  = words{"the person who filled in the form", "quem preencheu o formulário"}
	support = words{"you, with the provider's support", "você, com o suporte do provedor"}
)

// What to do with the wallet, and what to say to the customer.
var (
	keepDebit = words{
		"Neither give the amount back nor pay again under another reference. [Settle the outcome](money-safety.md#settling-an-unknown-outcome) first.",
		"Não estorne o valor e não pague de novo com outra referência. Primeiro [esclareça o resultado](money-safety.md#como-esclarecer-um-resultado-desconhecido).",
	}
	giveBack = words{
		"Give the amount back, or correct the cause and pay again with `WithAttempt`: one of the two.",
		"Estorne o valor, ou corrija a causa e pague de novo com `WithAttempt`: um dos dois.",
	}
	callAgain = words{
		"Leave the order open and make the same call again, with the same reference; or give the amount back, as your program does. Never call again for an order that was given back.",
		"Deixe o pedido em aberto e faça a mesma chamada de novo, com a mesma referência; ou estorne o valor, como o seu programa faz. Nunca chame de novo para um pedido que foi estornado.",
	}
	undo = words{"Undo what you booked for the refund.", "Desfaça o que você registrou para a devolução."}

	checking = words{
		"We are confirming this payment with the bank. Your money is not lost: it arrives, or it comes back to your balance. Please do not ask for it again.",
		"Estamos confirmando este pagamento com o banco. Seu dinheiro não se perdeu: ou ele chega, ou volta para o seu saldo. Não faça o pedido de novo.",
	}
	notMade = words{
		"Given back: This payment was not made, and the amount is back in your balance. You may ask for it again. Left open: This payment is late, and no money has left. We will pay it shortly.",
		"Se estornou: Este pagamento não foi feito, e o valor voltou ao seu saldo. Você pode pedir de novo. Se deixou em aberto: Este pagamento está atrasado, e nenhum dinheiro saiu. Vamos pagar em instantes.",
	}
	later = words{
		"Left open: We could not make this payment yet, and no money has left. We will try again in a few minutes. Given back: The amount is back in your balance. You may ask for it again.",
		"Se deixou em aberto: Ainda não conseguimos fazer este pagamento, e nenhum dinheiro saiu. Vamos tentar de novo em alguns minutos. Se estornou: O valor voltou ao seu saldo. Você pode pedir de novo.",
	}
	nothingPaid = words{
		"This charge has not been paid, so there is nothing to return.",
		"Esta cobrança não foi paga, então não há o que devolver.",
	}
)

// entry is a section of the page of errors.
//
// The template prints the fields with upper-case names.
type entry struct {
	Code    connectpsp.ErrorCode // a published one, which is the title then
	Title   words
	from    string    // the operation that responds, if it is not the one that is called
	on      operation // those that it is met on
	provoke situation

	Means, Who, Wallet, Customer words

	Response, Outcome, Retried words // what was observed
	Text                       string
}

// codes has an entry for each published code, in the order of the constants.
var codes = []entry{
	{
		Code: connectpsp.CodeInvalidCredentials, from: connectpsp.OperationAuthToken, on: money, provoke: refuse(401), Who: you, Wallet: callAgain, Customer: later,
		Means: words{"The ClientID or the ClientSecret is wrong, so there is no access token.", "O ClientID ou o ClientSecret está errado, então não há token de acesso."},
	},
	{
		Code: connectpsp.CodeTokenExpired, on: money, provoke: refuse(401), Who: you, Wallet: giveBack, Customer: notMade,
		Means: words{
			"A fresh access token was refused too: something on the way may replace the `Authorization` header.",
			"Um token de acesso novo também foi recusado: algo no caminho pode estar trocando o cabeçalho `Authorization`.",
		},
	},
	{
		Code: connectpsp.CodeInvalidApplicationToken, on: money, provoke: refuse(401), Who: you, Wallet: giveBack, Customer: notMade,
		Means: words{"The ApplicationToken is wrong, or of the other environment.", "O ApplicationToken está errado, ou é do outro ambiente."},
	},
	{
		Code: connectpsp.CodeInvalidSignature, on: signed, provoke: refuse(422), Who: you, Wallet: giveBack, Customer: notMade,
		Means: words{"The CryptoToken is wrong, or was rotated.", "O CryptoToken está errado, ou foi trocado."},
	},
	{
		Code: connectpsp.CodeCashInNotPaid, on: refunds, provoke: refuse(422), Who: payer, Wallet: undo, Customer: nothingPaid,
		Means: words{
			"The charge is not paid. After `CASHIN_PAID` refund it with `WithAttempt`, because the gateway may repeat its refusal.",
			"A cobrança não está paga. Depois de `CASHIN_PAID`, devolva com `WithAttempt`, porque o gateway pode repetir a recusa.",
		},
	},
	{
		Code: connectpsp.CodeCashInAlreadyRefunded, on: refunds, provoke: refuse(422), Who: you,
		Means: words{
			"The charge was refunded, perhaps by an earlier attempt of this very refund, or by MED before you asked. Read the charge and the statement.",
			"A cobrança foi devolvida, talvez por uma tentativa anterior desta mesma devolução. Pode também ter sido um MED antes do seu pedido. Leia a cobrança e o extrato.",
		},
		Wallet: words{
			"Keep the refund open until the charge reads `REFUNDED`, then book it once. If it was a MED, do not debit twice. Never return the money in another way.",
			"Deixe a devolução em aberto até a cobrança mostrar `REFUNDED`, e então registre-a uma vez. Se foi um MED, não debite duas vezes. Nunca devolva o dinheiro de outro modo.",
		},
		Customer: words{
			"The return of this payment has been requested already. The money goes to the account that paid.",
			"A devolução deste pagamento já foi pedida. O dinheiro volta para a conta que pagou.",
		},
	},
	{
		Code: connectpsp.CodeCashInExpired, on: refunds, provoke: refuse(422), Who: you, Wallet: undo, Customer: nothingPaid,
		Means: words{"The charge expired without being paid.", "A cobrança expirou sem ser paga."},
	},
	{
		Code: connectpsp.CodeCashInCancelled, on: refunds, provoke: refuse(422), Who: you, Wallet: undo, Customer: nothingPaid,
		Means: words{"The charge was cancelled.", "A cobrança foi cancelada."},
	},
	{
		Code: connectpsp.CodeMissingEndToEndID, on: refunds, provoke: refuse(422), Who: you,
		Means: words{
			"The gateway has not recorded the settlement yet. Call again some minutes later, with `WithAttempt` if the refusal is repeated.",
			"O gateway ainda não registrou a liquidação. Chame de novo alguns minutos depois, com `WithAttempt` se a recusa se repetir.",
		},
		Wallet: words{
			"Leave the debit for the refund as it is, and refund again.",
			"Deixe o débito da devolução como está, e peça a devolução de novo.",
		},
		Customer: words{
			"The return of this payment will be requested again in a few minutes.",
			"A devolução deste pagamento será pedida de novo em alguns minutos.",
		},
	},
	{
		Code: connectpsp.CodeInsufficientFunds, on: cashOuts, provoke: refuse(422), Who: you,
		Means: words{
			"The amount is above the transactional balance. Raise it with `RebalanceAccount`, then pay again with `WithAttempt`.",
			"O valor é maior que o saldo transacional. Complete o saldo com `RebalanceAccount` e pague de novo com `WithAttempt`.",
		},
		Wallet: giveBack, Customer: notMade,
	},
}

// others are the errors without a published code.
var others = []entry{
	{
		Title: words{"Another code with 400, 404 or 422", "Outro código com 400, 404 ou 422"}, on: money,
		provoke: refuseAs(422, "LIMIT_EXCEEDED"), Who: you, Wallet: giveBack, Customer: notMade,
		Means: words{
			"The gateway refused the request. The provider does not publish all of its codes: one that is not listed comes through as it is.",
			"O gateway recusou a requisição. O provedor não publica todos os códigos: um que não está na lista chega como veio.",
		},
	},
	{
		Title: words{"409, or a code that says that something exists", "409, ou um código que diz que algo já existe"}, on: money,
		provoke: refuseAs(409, "DUPLICATE_EXTERNAL_REFERENCE"), Who: you, Wallet: keepDebit, Customer: checking,
		Means: words{
			"Something exists under this reference, perhaps made by this very payment. Wait for its webhook. The status is published for a cash-out; the code is not.",
			"Algo já existe com esta referência, talvez feito por este mesmo pagamento. Espere o webhook. O status é publicado para o saque; o código, não.",
		},
	},
	{
		Title: words{"409 about the idempotency key", "409 sobre a chave de idempotência"}, on: money,
		provoke: refuseAs(409, "IDEMPOTENCY_KEY_IN_USE"), Who: gateway, Wallet: keepDebit, Customer: checking,
		Means: words{
			"A request with the same key is running just now: the code has `IDEMPOT` in it. The provider publishes no such code.",
			"Uma requisição com a mesma chave está em andamento: o código contém `IDEMPOT`. O provedor não publica um código assim.",
		},
	},
	{
		Title: words{"401 without a published code", "401 sem código publicado"}, on: money,
		provoke: refuseAs(401, "UNAUTHORIZED"), Who: you, Wallet: giveBack, Customer: notMade,
		Means: words{"The credentials were refused. `connectpsp doctor` names the variable.", "As credenciais foram recusadas. `connectpsp doctor` mostra qual variável."},
	},
	{
		Title: words{"429", "429"}, on: money, provoke: tooManyRequests, Who: gateway, Customer: later,
		Wallet: words{
			"Call again later, with `WithAttempt` if the refusal is repeated, or give the amount back.",
			"Chame de novo mais tarde, com `WithAttempt` se a recusa se repetir, ou estorne o valor.",
		},
		Means: words{
			"Too many requests. The provider does not publish its limits. The SDK obeys `Retry-After` up to 30 seconds.",
			"Requisições demais. O provedor não publica os limites. O SDK obedece a `Retry-After` até 30 segundos.",
		},
	},
	{
		Title: words{"408, 425, 499 or 5xx", "408, 425, 499 ou 5xx"}, on: money, provoke: status(503), Who: gateway, Wallet: keepDebit, Customer: checking,
		Means: words{
			"The gateway, or a proxy before it, failed. It may have made the payment all the same. Only 500 is published.",
			"O gateway, ou um proxy na frente dele, falhou. Mesmo assim o pagamento pode ter sido feito. Só o 500 é publicado.",
		},
	},
	{
		Title: words{"A 4xx that is not the gateway's", "Um 4xx que não é do gateway"}, on: money, provoke: status(403), Who: you, Wallet: keepDebit, Customer: checking,
		Means: words{
			"A firewall or a proxy responded in place of the gateway, or the gateway's problem (problem+json) broke off. Check `BaseURL` and what lies in between.",
			"Um firewall ou um proxy respondeu no lugar do gateway, ou a resposta de erro do gateway (problem+json) chegou cortada. Confira `BaseURL` e o que está no caminho.",
		},
	},
	{
		Title: words{"A redirect", "Um redirecionamento"}, on: money, provoke: status(307), Who: you, Wallet: keepDebit, Customer: checking,
		Means: words{
			"The SDK follows no redirect: it would carry secrets to another host. Check `BaseURL`.",
			"O SDK não segue redirecionamentos: eles levariam segredos a outro host. Confira `BaseURL`.",
		},
	},
	{
		Title: words{"A response that cannot be read", "Uma resposta que não pode ser lida"}, on: money, provoke: brokenJSON, Who: gateway, Wallet: keepDebit, Customer: checking,
		Means: words{"The payment was almost surely made, and its response broke off.", "O pagamento quase certamente foi feito, e a resposta chegou cortada."},
	},
	{
		Title: words{"A response about another payment", "Uma resposta sobre outro pagamento"}, on: payments, provoke: otherAnswer, Who: support, Wallet: keepDebit, Customer: checking,
		Means: words{
			"The response names another reference or amount. Stop the payouts, and tell the provider. None of its ids is yours.",
			"A resposta traz outra referência ou outro valor. Pare os saques e avise o provedor. Nenhum dos ids dela é seu.",
		},
	},
	{
		Title: words{"No response", "Nenhuma resposta"}, on: money, provoke: loseAnswer, Who: gateway, Wallet: keepDebit, Customer: checking,
		Means: words{
			"The request was sent, and the connection broke or timed out. The `UnknownOutcomeError` has what settles it.",
			"A requisição saiu, e a conexão caiu ou expirou. O `UnknownOutcomeError` tem o que é preciso para esclarecer.",
		},
	},
	{
		Title: words{"No connection, no token, or no time", "Sem conexão, sem token ou sem tempo"}, on: money, provoke: noConnection, Who: gateway, Wallet: callAgain, Customer: later,
		Means: words{
			"The request never left this process.",
			"A requisição não saiu deste processo.",
		},
	},
	{
		Title: words{"A field is not valid", "Um campo não é válido"}, on: payments, provoke: badField, Who: person,
		Means: words{
			"A `ValidationError` for each field, with a [code](#codes-of-fields) and a `UserMessage`. Correct the field; no `WithAttempt` is needed.",
			"Um `ValidationError` para cada campo, com um [código](#códigos-dos-campos) e uma `UserMessage`. Corrija o campo; não é preciso `WithAttempt`.",
		},
		Wallet: words{
			"Correct the field and call again; or give the amount back, if no process has made another call for the order.",
			"Corrija o campo e chame de novo; ou estorne o valor, se nenhum processo fez outra chamada para o pedido.",
		},
		Customer: words{"The `UserMessage` of the field, in Portuguese.", "A `UserMessage` do campo."},
	},
	{
		Title: words{"The journal fails", "O journal falha"}, on: payments, provoke: noJournal, Who: you, Wallet: keepDebit, Customer: checking,
		Means: words{
			"The journal cannot record the payment, nor say whether an earlier call sent it. Repair the disk or the database, then make the same call again.",
			"O journal não consegue registrar o pagamento, nem dizer se uma chamada anterior o enviou. Repare o disco ou o banco de dados, e faça a mesma chamada de novo.",
		},
	},
}

// recovered are the rows for what Recover returns.
var recovered = []struct{ Result, Means, Wallet words }{
	{
		words{"`Err` is nil", "`Err` é nil"},
		words{"accepted; it may still end as `FAILED`", "aceito; ainda pode terminar como `FAILED`"},
		words{"book it as accepted, in a way that does no harm when it is done twice", "registre como aceito, de um jeito que não faça mal se for feito duas vezes"},
	},
	{
		words{"`errors.Is(Err, ErrUnknownOutcome)`", "`errors.Is(Err, ErrUnknownOutcome)`"},
		words{"still open, and stays in the journal", "continua em aberto, e fica no journal"},
		words{"leave it as it is, and call `Recover` again later", "deixe como está, e chame `Recover` de novo mais tarde"},
	},
	{
		words{"`errors.Is(Err, ErrNotSent)`", "`errors.Is(Err, ErrNotSent)`"},
		words{"written down, and never sent", "anotado, e nunca enviado"},
		words{"give the amount back, or make the same call again", "estorne o valor, ou faça a mesma chamada de novo"},
	},
	{
		words{"another `*APIError`", "outro `*APIError`"},
		words{"rejected before the process ended; the code is not kept", "recusado antes de o processo terminar; o código não é guardado"},
		words{
			"if `IdempotencyKey` is that of the latest attempt, give the amount back, or pay again with `WithAttempt`",
			"se `IdempotencyKey` é a da última tentativa, estorne o valor, ou pague de novo com `WithAttempt`",
		},
	},
}

// ends are the statuses of a payment that was accepted.
var ends = []struct {
	Status        connectpsp.CashOutStatus
	Means, Wallet words
}{
	{
		connectpsp.CashOutProcessing, words{"under way", "em andamento"},
		words{"leave it as it is, however long it takes", "deixe como está, demore o que demorar"},
	},
	{connectpsp.CashOutCompleted, words{"paid", "pago"}, words{"book it as paid", "registre como pago"}},
	{
		connectpsp.CashOutFailed, words{"not paid; `Failure.Code` says why, such as `PIX_KEY_NOT_FOUND`", "não pago; `Failure.Code` diz por quê, como `PIX_KEY_NOT_FOUND`"},
		words{"give the amount back; pay again under a new reference", "estorne o valor; pague de novo com uma nova referência"},
	},
	{
		connectpsp.CashOutCancelled, words{"not paid", "não pago"},
		words{"give the amount back; pay again under a new reference", "estorne o valor; pague de novo com uma nova referência"},
	},
	{
		connectpsp.CashOutRefunded, words{"paid, and then returned, in full or in part", "pago, e depois devolvido, por inteiro ou em parte"},
		words{"give back what came back, by the statement", "estorne o que voltou, conforme o extrato"},
	},
}

// fieldGroups are the titles of the blocks of constants in validation_code.go, by their comments,
// and who acts.
var fieldGroups = map[string]struct{ title, who words }{
	"The codes of any field.": {words{"Any field", "Qualquer campo"}, person},
	"The codes of documents, of PIX keys and of bank accounts.": {
		words{"Documents, PIX keys and bank accounts", "Documentos, chaves PIX e contas bancárias"}, person,
	},
	"The codes of addresses.": {words{"Addresses", "Endereços (URL)"}, you},
	"The codes of mistakes that only the program's author can mend.": {words{"Mistakes of the program", "Erros do programa"}, you},
}

// What a held refund means, and what to do with it, if an earlier attempt may have been accepted.
var (
	maybeReturned = words{
		"The automatic refund was not asked for now. An earlier attempt may have been accepted.",
		"A devolução automática não foi pedida agora. Uma tentativa anterior pode ter sido aceita.",
	}
	returnTheirs = words{
		"Look in the statement. If the money is another person's, and did not go back, return it by hand. Then `Dismiss`.",
		"Veja no extrato. Se o dinheiro é de outra pessoa e não voltou, devolva à mão. Depois chame `Dismiss`.",
	}
)

// held are the reasons for which the inbox holds an item, by their beginning.
var held = []struct {
	Reason      string
	Means, Then words
}{
	{
		"it failed 20 times",
		words{"Your function failed, so nothing was booked.", "A sua função falhou, então nada foi registrado."},
		words{"Repair the function, then `Retry`.", "Corrija a função e chame `Retry`."},
	},
	{
		"this version of the SDK does not know its type",
		words{"Nothing was booked.", "Nada foi registrado."},
		words{"Update the SDK, then `Retry`.", "Atualize o SDK e chame `Retry`."},
	},
	{
		"ALARM: the gateway has no such transaction",
		words{"Nothing was booked. Somebody may have your CryptoToken.", "Nada foi registrado. Alguém pode ter o seu CryptoToken."},
		words{"Stop the customer's withdrawals. If the transaction is of no application of yours, rotate the CryptoToken, then `Dismiss`.", "Pare os saques do cliente. Se a transação não é de nenhuma aplicação sua, troque o CryptoToken e chame `Dismiss`."},
	},
	{
		"ALARM: for hours the gateway has reported an older status",
		words{"Nothing was booked. Somebody may have your CryptoToken.", "Nada foi registrado. Alguém pode ter o seu CryptoToken."},
		words{"Read the transaction. If its status is still older, rotate the CryptoToken, then `Dismiss`.", "Leia a transação. Se o status ainda é o antigo, troque o CryptoToken e chame `Dismiss`."},
	},
	{
		"ALARM: the gateway reports another amount, reference or end-to-end id",
		words{"Nothing was booked. Somebody may have your CryptoToken.", "Nada foi registrado. Alguém pode ter o seu CryptoToken."},
		words{"Compare with the gateway. If it is right, rotate the CryptoToken, then `Dismiss`.", "Compare com o gateway. Se ele está certo, troque o CryptoToken e chame `Dismiss`."},
	},
	{
		"ALARM: the gateway reports another amount or reference than an earlier event",
		words{"Your function was called with the other amount or reference: the books may be wrong.", "A sua função foi chamada com o outro valor ou referência: os livros podem estar errados."},
		words{"Stop the customer's withdrawals, correct the books by hand, rotate the CryptoToken, then `Dismiss`.", "Pare os saques do cliente, corrija os livros à mão, troque o CryptoToken e chame `Dismiss`."},
	},
	{
		"the charge was paid a second time:",
		words{"The second payment is not credited.", "O segundo pagamento não foi creditado."},
		words{"Look for both in the statement. Refund or credit the second one by hand, then `Dismiss`.", "Procure os dois no extrato. Devolva ou credite o segundo à mão e chame `Dismiss`."},
	},
	{
		"the charge was perhaps paid a second time:",
		words{"This payment is not credited: another person may have made it.", "Este pagamento não foi creditado: outra pessoa pode tê-lo feito."},
		words{
			"Look in the statement. Two payments: refund or credit the second one by hand. One: decide by its payer. Then `Dismiss`.",
			"Procure no extrato. Dois pagamentos: devolva ou credite o segundo à mão. Um só: decida pelo pagador. Depois chame `Dismiss`.",
		},
	},
	{
		"ALARM: the gateway reports another payer than an earlier event",
		words{"The payment is booked as PAID, and the gateway shows another person.", "O pagamento foi registrado como PAID, e o gateway mostra outra pessoa."},
		words{
			"Stop the customer's withdrawals. If it is another person's payment, take the credit back. If you have not changed the holder, rotate the CryptoToken. Then `Dismiss`.",
			"Pare os saques do cliente. Se o pagamento é de outra pessoa, desfaça o crédito. Se você não alterou o titular, troque o CryptoToken. Depois chame `Dismiss`.",
		},
	},
	{
		"a newer version of the SDK has recorded the state",
		words{"Nothing was booked.", "Nada foi registrado."},
		words{"Update the SDK in every process of the inbox, then `Retry`.", "Atualize o SDK em todos os processos da inbox e chame `Retry`."},
	},
	{
		"the payment was made a second time",
		words{"The money may have gone out twice.", "O dinheiro pode ter saído duas vezes."},
		words{"Look for both in the statement, and ask the provider for the second one, then `Dismiss`.", "Procure os dois no extrato, peça o segundo ao provedor e chame `Dismiss`."},
	},
	{
		"the automatic refund was tried 20 times",
		words{"The money may be back with the payer, or still be here.", "O dinheiro pode ter voltado ao pagador, ou ainda estar aqui."},
		words{
			"Read the charge. `REFUNDED`: `Dismiss`. `PAID`: ask the provider whether a refund is under way; if there is none, end it in the journal as rejected, then `Retry`.",
			"Leia a cobrança. `REFUNDED`: `Dismiss`. `PAID`: pergunte ao provedor se há uma devolução em andamento; se não há, encerre-a no journal como recusada e chame `Retry`.",
		},
	},
	{
		"the gateway refused the automatic refund",
		words{"The money of another person is still here.", "O dinheiro de outra pessoa ainda está aqui."},
		words{"Remove the cause, then `Retry`; or return it by hand, then `Dismiss`.", "Remova a causa e chame `Retry`; ou devolva à mão e chame `Dismiss`."},
	},
	{
		"the automatic refund cannot be sent",
		words{
			"The money of another person is still here, unless an earlier attempt was accepted.",
			"O dinheiro de outra pessoa ainda está aqui, a menos que uma tentativa anterior tenha sido aceita.",
		},
		words{"Give the client the CryptoToken, or correct the request, then `Retry`.", "Dê o CryptoToken ao cliente, ou corrija a requisição, e chame `Retry`."},
	},
	{
		"the request of the automatic refund cannot be read",
		maybeReturned, returnTheirs,
	},
	{
		"the payer check does not find another person any more",
		maybeReturned,
		words{
			"Look in the statement whether the money went back. If it did not, credit it or return it by hand. Then `Dismiss`.",
			"Veja no extrato se o dinheiro voltou. Se não voltou, credite-o ou devolva-o à mão. Depois chame `Dismiss`.",
		},
	},
	{
		"the charge came back without a refund that the journal knows",
		words{"The money is back with the payer, perhaps only in part.", "O dinheiro voltou ao pagador, talvez só em parte."},
		words{
			"Look in the statement how much went back. Return the rest by hand, if there is any. Then `Dismiss`.",
			"Veja no extrato quanto voltou. Devolva o resto à mão, se houver. Depois chame `Dismiss`.",
		},
	},
	{
		"ALARM: an event said that the charge came back",
		words{"The money of another person may still be here. Somebody may have your CryptoToken.", "O dinheiro de outra pessoa pode ainda estar aqui. Alguém pode ter o seu CryptoToken."},
		words{
			"Read the charge. If it is still not `REFUNDED`, rotate the CryptoToken. Look in the statement, and return the money by hand only if it did not go back. Then `Dismiss`.",
			"Leia a cobrança. Se ainda não está `REFUNDED`, troque o CryptoToken. Veja no extrato e devolva à mão só se o dinheiro não voltou. Depois chame `Dismiss`.",
		},
	},
	{
		"the recorded state of the charge is not PAID_BY_OTHER",
		maybeReturned, returnTheirs,
	},
	{
		"the charge was paid a second time, and an automatic refund",
		words{
			"A refund may return the wrong payment. An earlier attempt may have been accepted.",
			"Uma devolução poderia ser do pagamento errado. Uma tentativa anterior pode ter sido aceita.",
		},
		words{
			"Look in the statement for both, and for a return. Return that of the other person by hand only if it did not go back, then `Dismiss`.",
			"Procure no extrato os dois e uma devolução. Devolva à mão o da outra pessoa só se ele não voltou, e chame `Dismiss`.",
		},
	},
	{
		"its ids are too long",
		words{"Nothing was booked.", "Nada foi registrado."},
		words{"Read the transaction, and book it by hand, then `Dismiss`.", "Leia a transação, registre-a à mão e chame `Dismiss`."},
	},
	{
		"the transaction must be read from the gateway, and its id is not a valid one",
		words{"Nothing was booked.", "Nada foi registrado."},
		words{"Ask the provider for the transaction, then `Dismiss`.", "Pergunte ao provedor pela transação e chame `Dismiss`."},
	},
	{
		"the gateway responds with another transactionId",
		words{"Nothing was booked.", "Nada foi registrado."},
		words{"Watch the transaction by the id of the response, then `Dismiss`.", "Acompanhe a transação pelo id da resposta e chame `Dismiss`."},
	},
	{
		"the gateway does not know the transaction, so it is no longer polled",
		words{"Unknown: the transaction is no longer polled.", "Desconhecido: a transação não é mais consultada."},
		words{"Watch it by its transactionId, then `Dismiss`.", "Acompanhe-a pelo transactionId e chame `Dismiss`."},
	},
	{
		"its transaction cannot be read",
		words{"Unknown: the item of a watch is damaged.", "Desconhecido: o item de uma consulta está danificado."},
		words{"Watch the transaction again, then `Dismiss`.", "Acompanhe a transação de novo e chame `Dismiss`."},
	},
	{
		"it is still not final",
		words{"The payment is open.", "O pagamento está em aberto."},
		words{"Ask the provider, then `Dismiss`.", "Pergunte ao provedor e chame `Dismiss`."},
	},
}

// heldInPortuguese translates the reasons of held.
var heldInPortuguese = map[string]string{
	"the charge was perhaps paid a second time:":                     "a cobrança talvez tenha sido paga uma segunda vez",
	"ALARM: the gateway reports another payer than an earlier event": "ALARME: o gateway informa um pagador diferente de um evento anterior",
	"a newer version of the SDK has recorded the state":              "uma versão mais nova do SDK gravou o estado",
	"the automatic refund cannot be sent":                            "a devolução automática não pode ser enviada",
	"the payer check does not find another person any more":          "a verificação do pagador não encontra mais outra pessoa",
	"the charge came back without a refund that the journal knows":   "a cobrança voltou sem uma devolução que o journal conheça",
	"ALARM: an event said that the charge came back":                 "ALARME: um evento disse que a cobrança voltou",
	"it failed 20 times":                                                           "falhou 20 vezes",
	"this version of the SDK does not know its type":                               "esta versão do SDK não conhece o tipo",
	"ALARM: the gateway has no such transaction":                                   "ALARME: o gateway não tem essa transação",
	"ALARM: for hours the gateway has reported an older status":                    "ALARME: há horas o gateway informa um status anterior",
	"ALARM: the gateway reports another amount, reference or end-to-end id":        "ALARME: o gateway informa outro valor, referência ou end-to-end id",
	"ALARM: the gateway reports another amount or reference than an earlier event": "ALARME: o gateway informa um valor ou uma referência diferente de um evento anterior",
	"the charge was paid a second time:":                                           "a cobrança foi paga uma segunda vez",
	"the payment was made a second time":                                           "o pagamento foi feito uma segunda vez",
	"the automatic refund was tried 20 times":                                      "a devolução automática foi tentada 20 vezes",
	"the gateway refused the automatic refund":                                     "o gateway recusou a devolução automática",
	"the request of the automatic refund cannot be read":                           "a requisição da devolução automática não pode ser lida",
	"the recorded state of the charge is not PAID_BY_OTHER":                        "o estado registrado da cobrança não é PAID_BY_OTHER",
	"the charge was paid a second time, and an automatic refund":                   "a cobrança foi paga uma segunda vez, e uma devolução automática poderia ser do pagamento errado",
	"its ids are too long":                                                         "os ids são longos demais",
	"the transaction must be read from the gateway, and its id is not a valid one": "a transação precisa ser lida no gateway, e o id não é válido",
	"the gateway responds with another transactionId":                              "o gateway responde com outro transactionId",
	"the gateway does not know the transaction, so it is no longer polled":         "o gateway não conhece a transação, que não é mais consultada",
	"its transaction cannot be read":                                               "a transação do item não pode ser lida",
	"it is still not final":                                                        "ainda não chegou a um status final",
}
